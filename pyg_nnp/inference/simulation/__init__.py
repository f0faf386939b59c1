"""Simulations with a trained potential, by ASE."""
