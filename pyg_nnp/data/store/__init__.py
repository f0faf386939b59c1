"""The store of a preprocessed data set: its layout, how it is written and read."""
