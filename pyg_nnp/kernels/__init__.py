"""Operators over pairs of atoms: plain torch defines them, numba and Triton compute them faster."""

from pyg_nnp.kernels.operators import aggregate, coulomb_potential, shifted_softplus, sort_edges
from pyg_nnp.kernels.reference import Edges, Filters, filters_of_pairs

__all__ = ["Edges", "Filters", "aggregate", "coulomb_potential", "filters_of_pairs", "shifted_softplus", "sort_edges"]
