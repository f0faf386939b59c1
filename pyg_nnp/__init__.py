"""A PyTorch Geometric package that trains neural network potentials."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_nnp import data
    from pyg_nnp.config import load_config
    from pyg_nnp.inference.calculator import PotentialCalculator
    from pyg_nnp.potential.build import build_potential
    from pyg_nnp.potential.checkpoint import load_potential

__all__ = ["PotentialCalculator", "build_potential", "data", "load_config", "load_potential"]

_MODULES = {
    "PotentialCalculator": "inference.calculator",
    "build_potential": "potential.build",
    "load_config": "config",
    "load_potential": "potential.checkpoint",
}
# torchsim is no name of __all__, as TorchSim need not be installed
_MODULES_THEMSELVES = {"data": "data", "torchsim": "inference.engines.torchsim"}


def __getattr__(name: str) -> Any:
    # imported at first use, since PyTorch and PyTorch Geometric take seconds
    if name in _MODULES_THEMSELVES:
        return import_module(f"pyg_nnp.{_MODULES_THEMSELVES[name]}")
    if name in _MODULES:
        return getattr(import_module(f"pyg_nnp.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
