"""A PyTorch Geometric package that trains neural network potentials."""

from pyg_nnp import data
from pyg_nnp.build import build_potential
from pyg_nnp.checkpoint import load_potential
from pyg_nnp.config import load_config

__all__ = ["build_potential", "data", "load_config", "load_potential"]
