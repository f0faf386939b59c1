"""The layers that a potential is made of."""
