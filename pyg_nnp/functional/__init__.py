"""Pure tensor functions, one formula each."""
