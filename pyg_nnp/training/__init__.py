"""Training: steps, epochs, state, losses, metrics, and what watches them."""
