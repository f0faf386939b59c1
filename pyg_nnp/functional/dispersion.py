"""Dispersion energies by the reference programs of D3 and D4, as functions that torch differentiates."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_nnp.errors import ConfigError, DataError

Method = Literal["D3", "D4"]
Array = NDArray[Any]
# positions (A, 3) and cells (G, 3, 3) [Bohr] -> energies (G,) and their derivatives by both [Hartree, Bohr]
Compute = Callable[[Array, Array], tuple[Array, Array, Array]]

_PROGRAMS = {"D3": ("dftd3", "RationalDampingParam"), "D4": ("dftd4", "DampingParam")}
_STEP = 1e-3  # Bohr, of differences of gradients


def damping_of(method: Method, functional: str, three_body: bool) -> Any:
    """Return the parameters of the damping for a functional; they are not to be kept until the process ends.

    Raises:
        ConfigError: the program is not installed, or knows no such functional.
    """
    program, damping = _PROGRAMS[method]
    try:
        interface = import_module(f"{program}.interface")
    except ImportError as error:
        raise ConfigError(
            f"{method} is computed by the package {program}, which cannot be imported ({error}). "
            "Install it: pip install 'pyg_nnp[dispersion]'."
        ) from error
    try:
        return getattr(interface, damping)(method=functional, atm=three_body)
    except RuntimeError as error:
        raise ConfigError(
            f"{program} has no parameters of {method} for the functional '{functional}' ({error}). Write it as in its "
            "papers: pbe, b3lyp, r2scan."
        ) from error


def dispersion_of(
    method: Method, damping: Any, numbers: Array, Ra: Array, charge: float, cell: Array | None = None
) -> tuple[float, Array, Array]:
    """Return the dispersion energy of one system [Hartree], and derivatives by positions and lattice vectors.

    D3 with the damping of Becke and Johnson: Grimme, Ehrlich and Goerigk, J. Comput. Chem. 2011, 32, 1456. D4:
    Caldeweyher et al., J. Chem. Phys. 2019, 150, 154122.

    Args:
        method: whose.
        damping: as :func:`damping_of` returns it.
        numbers: (N,) atomic numbers.
        Ra: (N, 3) positions [Bohr].
        charge: total charge, which D4 depends on.
        cell: (3, 3) lattice vectors, one a row [Bohr], all periodic; None for a molecule.

    Returns:
        Energy, (N, 3) and (3, 3) derivatives [Hartree/Bohr].

    Raises:
        DataError: the program refuses the system, as for elements that it does not know.
    """
    given: dict[str, Any] = {"charge": charge} if method == "D4" else {}
    inside = Ra
    if cell is not None:
        # oblique cells, and atoms outside of them, make energies of D4 wrong by up to a percent
        h, _ = minkowski_reduce(cell)  # type: ignore[no-untyped-call]
        places = np.linalg.solve(h.T, Ra.T).T  # (N, 3)
        inside = (places - np.floor(places)) @ h  # (N, 3)
        given |= {"lattice": h, "periodic": np.ones(3, dtype=bool)}
    model = import_module(f"{_PROGRAMS[method][0]}.interface").DispersionModel
    try:
        found = model(numbers, inside, **given).get_dispersion(damping, grad=True)
    except RuntimeError as error:
        raise DataError(
            f"{method} cannot be computed: {error}. Take the layer Dispersion out, or these data."
        ) from error
    by_Ra = found["gradient"]  # (N, 3)
    if cell is None:
        return float(found["energy"]), by_Ra, np.zeros((3, 3))
    # what the derivative by the strain has beyond that by the positions
    return float(found["energy"]), by_Ra, np.linalg.solve(cell.T, found["virial"] - Ra.T @ by_Ra)  # (3, 3)


def energies_of(compute: Compute, Ra: Tensor, cell: Tensor, batch: Tensor) -> Tensor:
    """Return (G,) energies that are computed with their derivatives outside of torch, differentiable twice.

    Second derivatives are central differences of first ones, along the one direction that is asked for.

    Args:
        compute: from positions and cells to energies and their derivatives by both.
        Ra: (A, 3) positions, float64.
        cell: (G, 3, 3) cells, float64.
        batch: (A,) system of each atom.
    """
    found: Tensor = _Energies.apply(Ra, cell, batch, compute)  # type: ignore[no-untyped-call]
    return found


class _Energies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, Ra: Tensor, cell: Tensor, batch: Tensor, compute: Compute) -> Tensor:
        E, by_Ra, by_cell = _computed(compute, Ra, cell)
        ctx.save_for_backward(Ra, cell, batch, by_Ra, by_cell)
        ctx.compute = compute
        return E

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        Ra, cell, batch, *known = ctx.saved_tensors
        by_Ra, by_cell = _Slopes.apply(Ra, cell, *known, ctx.compute)  # type: ignore[no-untyped-call]
        factor = grads[0]  # (G,)
        of_atoms = factor.index_select(0, batch)[:, None]  # (A, 1)
        return of_atoms * by_Ra, factor[:, None, None] * by_cell, None, None  # (A, 3), (G, 3, 3)


class _Slopes(torch.autograd.Function):
    """The known derivatives of the sum of all energies, as functions of what they were computed from."""

    @staticmethod
    def forward(ctx: Any, Ra: Tensor, cell: Tensor, by_Ra: Tensor, by_cell: Tensor, compute: Compute) -> Any:
        ctx.save_for_backward(Ra, cell)
        ctx.compute = compute
        return by_Ra.clone(), by_cell.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        """Return the product of the matrix of second derivatives, which is symmetric, with a direction."""
        (Ra, cell), (of_Ra, of_cell) = ctx.saved_tensors, along
        size = float(torch.cat((of_Ra, of_cell.flatten(0, 1))).abs().max())  # of (A + 3 G, 3)
        if size == 0:
            return torch.zeros_like(Ra), torch.zeros_like(cell), None, None, None
        step = _STEP / size
        _, *after = _computed(ctx.compute, Ra + step * of_Ra, cell + step * of_cell)
        _, *before = _computed(ctx.compute, Ra - step * of_Ra, cell - step * of_cell)
        by_Ra, by_cell = ((a - b) / (2 * step) for a, b in zip(after, before, strict=True))
        return by_Ra, by_cell, None, None, None


def _computed(compute: Compute, Ra: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
    given = (values.detach().cpu().numpy() for values in (Ra, cell))
    return tuple(torch.from_numpy(found).to(Ra) for found in compute(*given))
