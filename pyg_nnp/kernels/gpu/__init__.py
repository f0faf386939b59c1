"""The operators on a GPU, compiled by Triton.

Each program writes what it alone owns, an atom, some pairs, or a row of the table, so results do not depend on timing.
Nothing waits for the device, so that all of this can be captured in a CUDA graph.
"""

from pyg_nnp.kernels.gpu.aggregation import aggregate, derivatives, sort_edges, sum_rows
from pyg_nnp.kernels.gpu.coulomb import coulomb_gradient, coulomb_gradient_backward, coulomb_potential
from pyg_nnp.kernels.reference import shifted_softplus

__all__ = [
    "aggregate",
    "coulomb_gradient",
    "coulomb_gradient_backward",
    "coulomb_potential",
    "derivatives",
    "shifted_softplus",
    "sort_edges",
    "sum_rows",
]
