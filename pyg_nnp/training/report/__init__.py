"""Pages with pictures: of a trained model, and of several compared."""
