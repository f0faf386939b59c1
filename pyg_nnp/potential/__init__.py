"""Potentials: checked lists of layers, built from a configuration, saved, recorded as CUDA graphs."""
