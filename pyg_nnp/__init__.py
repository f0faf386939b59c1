"""A PyTorch Geometric package that trains neural network potentials."""
