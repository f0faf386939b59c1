"""Operators over pairs of atoms: plain torch defines them, numba and Triton compute them faster."""

from pyg_nnp.kernels.operators import aggregate, coulomb_potential, shifted_softplus, sort_edges
from pyg_nnp.kernels.reference import Edges, Filters, filters_of_pairs
from pyg_nnp.kernels.sums import of_groups, of_molecules, sum_over_atoms, sum_over_ends, sum_over_groups
from pyg_nnp.kernels.tensor_operators import aggregate_tensors, invariants, products

__all__ = [
    "Edges",
    "Filters",
    "aggregate",
    "aggregate_tensors",
    "coulomb_potential",
    "filters_of_pairs",
    "invariants",
    "of_groups",
    "of_molecules",
    "products",
    "shifted_softplus",
    "sort_edges",
    "sum_over_atoms",
    "sum_over_ends",
    "sum_over_groups",
]
