"""The operators on the CPU, compiled by numba.

Each thread writes what it alone owns, atoms, pairs, or a table of its own, so results do not depend on timing.
"""

from pyg_nnp.kernels.cpu.activation import shifted_softplus
from pyg_nnp.kernels.cpu.aggregation import aggregate, derivatives, sort_edges
from pyg_nnp.kernels.cpu.coulomb import coulomb_gradient, coulomb_gradient_backward, coulomb_potential

__all__ = [
    "aggregate",
    "coulomb_gradient",
    "coulomb_gradient_backward",
    "coulomb_potential",
    "derivatives",
    "shifted_softplus",
    "sort_edges",
]
