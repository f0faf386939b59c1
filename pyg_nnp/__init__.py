"""A PyTorch Geometric package that trains neural network potentials."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_nnp import data
    from pyg_nnp.build import build_potential
    from pyg_nnp.checkpoint import load_potential
    from pyg_nnp.config import load_config

__all__ = ["build_potential", "data", "load_config", "load_potential"]

_FROM = {"build_potential": "build", "load_potential": "checkpoint", "load_config": "config"}


def __getattr__(name: str) -> Any:
    # imported when they are asked for, since PyTorch and PyTorch Geometric take seconds
    if name == "data":
        return import_module("pyg_nnp.data")
    if name in _FROM:
        return getattr(import_module(f"pyg_nnp.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
