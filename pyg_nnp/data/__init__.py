"""From data files to batches."""
