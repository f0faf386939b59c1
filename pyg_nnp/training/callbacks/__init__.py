"""Callbacks of a training: checkpoints, history, record of the run, progress bar, TensorBoard, profile."""
