"""Cores, the networks that a potential learns with, under the names of ``architecture`` in the configuration."""

from pyg_nnp.layers.base import Core
from pyg_nnp.layers.cores.cartesian import CartesianCore, CartesianInteraction
from pyg_nnp.layers.cores.painn import PaiNNCore, PaiNNInteraction
from pyg_nnp.layers.cores.schnet import CFConv, SchNetCore, SchNetInteraction

CORES: dict[str, type[Core]] = {"SchNet": SchNetCore, "PaiNN": PaiNNCore, "Cartesian": CartesianCore}

__all__ = [
    "CORES",
    "CFConv",
    "CartesianCore",
    "CartesianInteraction",
    "PaiNNCore",
    "PaiNNInteraction",
    "SchNetCore",
    "SchNetInteraction",
]
