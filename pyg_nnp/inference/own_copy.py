"""The potential of a calculator or a model: its own, where and in the precision that the user asks for."""

import copy
from pathlib import Path

import torch

from pyg_nnp.errors import DataError
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.potential.potential import Potential

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def own_copy(
    potential: str | Path | Potential, device: str | torch.device, dtype: str | torch.dtype | None
) -> Potential:
    """Return a copy of a potential, or that of a folder or a file, in evaluation mode.

    Args:
        potential: the folder of a trained model, its file, or a loaded potential.
        device: where to evaluate.
        dtype: float32 or float64, or the type of PyTorch of that name; None takes that of the training.

    Raises:
        DataError: there is no potential, no such device, or the precision is another one.
    """
    name = None if dtype is None else str(dtype).removeprefix("torch.")
    if name is not None and name not in _DTYPES:
        raise DataError(f"dtype: {dtype} is no precision of a potential. Choose float32, float64, or None: as trained.")
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(f"device: '{device}' cannot be used here ({reason}). Choose another, such as cpu.") from error
    own = copy.deepcopy(potential) if isinstance(potential, Potential) else load_potential(potential)
    return own.to(device, None if name is None else _DTYPES[name]).eval()
