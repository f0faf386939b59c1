"""torch-scatter and torch-cluster, where they are installed, as second implementations."""

import pytest
import torch
from molecules import make_potential, some_molecules
from torch_geometric.data import Batch

from pyg_nnp.functional.geometry import sum_over_atoms


def test_sums_over_atoms_are_those_of_torch_scatter() -> None:
    torch_scatter = pytest.importorskip("torch_scatter", reason="the extra 'fast' is not installed")
    values = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = torch.arange(30) // 7
    expected = torch_scatter.scatter_add(values, batch, dim=0, dim_size=6)
    torch.testing.assert_close(sum_over_atoms(values, batch, 6), expected)


def test_pairs_within_the_cutoff_are_those_of_torch_cluster() -> None:
    torch_cluster = pytest.importorskip("torch_cluster", reason="the extra 'fast' is not installed")
    batch = Batch.from_data_list(some_molecules())
    potential = make_potential()
    fields = {name: batch[name] for name in ("Ra", "edge_index")}
    for layer in list(potential.layers)[:2]:
        fields |= layer(**{name: fields[name] for name in layer.reads})
    theirs = torch_cluster.radius_graph(batch.Ra, r=4.0, batch=batch.batch, max_num_neighbors=100)
    assert set(map(tuple, fields["edge_index_sr"].T.tolist())) == set(map(tuple, theirs.T.tolist()))
