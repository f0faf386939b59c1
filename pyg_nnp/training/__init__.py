"""Training: loop, steps, state, schedule, loss, metrics, callbacks and report."""
