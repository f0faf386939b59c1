"""find_edges against all pairs, as the layers select them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from molecules import LAYER_ENTRIES, make_potential, some_molecules
from torch_geometric.data import Batch

from pyg_nnp.data.neighbor_lists import full_neighbor_list
from pyg_nnp.errors import DataError
from pyg_nnp.functional import neighbor_search
from pyg_nnp.functional.neighbor_search import check_edges, find_edges
from pyg_nnp.layers import Distance, RangeSeparation

SWITCH = neighbor_search._FEW_ATOMS
SETTINGS = {
    "as it is": {"_FEW_ATOMS": SWITCH},
    "torch": {"_FEW_ATOMS": 10**6},
    "tree": {"_FEW_ATOMS": 1},
    "cells": {"_FEW_ATOMS": 1, "_BY_CELLS": ("cpu",)},
    "tree, torch for the smallest": {"_FEW_ATOMS": 20},
}
every_way = pytest.mark.parametrize("way", SETTINGS)


@contextmanager
def going(way: str) -> Iterator[None]:
    with mock.patch.multiple(neighbor_search, **SETTINGS[way]):
        yield


def all_edges(N: Sequence[int]) -> torch.Tensor:
    first = np.cumsum([0, *N])
    return torch.cat([full_neighbor_list(n) + start for n, start in zip(N, first, strict=False)], dim=1)


def expected_edges(Ra: torch.Tensor, N: Sequence[int], cutoff: float) -> torch.Tensor:
    pairs = Distance().to(Ra.dtype)(Ra=Ra, edge_index=all_edges(N))
    return RangeSeparation(cutoff)(**pairs)["edge_index_sr"]


def cluster(num_atoms: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return positions as dense as in organic matter, 0.1 atoms per cubic Å."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num_atoms, 3, generator=generator, dtype=dtype) * (10 * num_atoms) ** (1 / 3)


def check(Ra: torch.Tensor, N: Sequence[int], cutoff: float) -> torch.Tensor:
    edges = find_edges(Ra, torch.tensor(N, dtype=torch.int64), cutoff)
    assert edges.dtype == torch.int64
    assert torch.equal(edges, expected_edges(Ra, N, cutoff))
    return edges


@every_way
@settings(max_examples=40, deadline=None)
@given(
    N=st.lists(st.one_of(st.integers(0, 30), st.integers(SWITCH - 2, SWITCH + 2)), min_size=1, max_size=5),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    cutoff=st.floats(0.5, 12.0),
    grid=st.booleans(),
    offset=st.sampled_from([0.0, -37.3, 1e4]),
    seed=st.integers(0, 2**32),
)
def test_edges_are_those_of_the_layers(
    way: str, N: list[int], dtype: torch.dtype, cutoff: float, grid: bool, offset: float, seed: int
) -> None:
    Ra = cluster(sum(N), seed, dtype)
    if grid:  # many distances that are the cutoff but for rounding, and many atoms at the same place
        cutoff = round(cutoff, 1)
        Ra = (Ra * 10).round() / 10 if cutoff < 3 else Ra.round()
    with going(way):
        check(Ra + offset, N, cutoff)


@every_way
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_larger_systems(way: str, dtype: torch.dtype) -> None:
    Ra = cluster(1400, dtype=dtype)
    with going(way):
        check(Ra, [900, 3, 497], 5.0)
        check(Ra * torch.tensor([100.0, 1.0, 0.01], dtype=dtype), [1400], 3.0)


@every_way
@pytest.mark.parametrize(("dtype", "offset"), [(torch.float32, 0.0), (torch.float64, 0.0), (torch.float64, 1e12)])
def test_distances_that_are_the_cutoff_but_for_rounding(way: str, dtype: torch.dtype, offset: float) -> None:
    directions = torch.nn.functional.normalize(cluster(800) - 10, dim=1)
    center = directions.new_tensor([[1.7, -0.4, 2.9]]) + offset
    with going(way):
        edges = check(torch.cat((center, center + 5.3 * directions)).to(dtype), [801], 5.3)
    assert 100 < (edges[1] == 0).sum() < 700


def test_edges_are_those_of_torch_cluster() -> None:
    torch_cluster = pytest.importorskip("torch_cluster", reason="the extra 'fast' is not installed")
    N = torch.tensor([22, 500, 22, 1])
    Ra = cluster(int(N.sum()))
    batch = torch.arange(len(N)).repeat_interleave(N)
    theirs = torch_cluster.radius_graph(Ra, r=5.0, batch=batch, max_num_neighbors=500)
    pairs = torch.tensor(sorted((i, j) for j, i in theirs.T.tolist() if i < j)).T
    assert torch.equal(find_edges(Ra, N, 5.0), torch.cat((pairs.flip(0), pairs), dim=1))


@every_way
def test_nothing_is_cut_off_in_dense_systems(way: str) -> None:
    Ra = cluster(1600) / 4
    with going(way):
        edges = check(Ra, [1600], 5.0)
    assert edges[0].bincount().min() < 1000 < edges[0].bincount().max()


@every_way
@pytest.mark.parametrize("cutoff", [40.0, 1e9, 1e300, float("inf")])
@pytest.mark.parametrize("N", [0, 1, 2, 3, 200])
def test_a_cutoff_beyond_the_system_gives_all_pairs(way: str, cutoff: float, N: int) -> None:
    with going(way):
        assert torch.equal(find_edges(cluster(N), torch.tensor([N]), cutoff), full_neighbor_list(N))


@every_way
def test_atoms_at_the_same_place_are_neighbors(way: str) -> None:
    with going(way):
        assert torch.equal(find_edges(torch.ones(200, 3), torch.tensor([200]), 1e-3), full_neighbor_list(200))


def spread_systems() -> dict[str, torch.Tensor]:
    """Return systems in nearly empty boxes, on which cell lists are slow or fail."""
    Ra = cluster(600)
    steps = torch.arange(1200, dtype=torch.float64)[:, None] * 4.9
    far = {f"{axes} {r:g}": torch.tensor(axes) * r for r in (1e3, 1e6, 1e12, 1e100) for axes in ((-1, 0, 0), (1, 1, 1))}
    return {
        **{f"stray atom {name}": torch.cat((Ra, place[None])) for name, place in far.items()},
        **{f"two parts {name}": torch.cat((Ra, Ra + place)) for name, place in far.items()},
        "atoms on both sides": torch.cat((Ra, Ra.new_tensor([[1e6, 0, 0], [-1e6, 0, 0], [0, 1e7, 0]]))),
        "chain": steps * torch.tensor([1.0, 0.0, 0.0]),
        "diagonal": steps.expand(-1, 3) * 3**-0.5,
        "diagonal of a plane": steps * 2**-0.5 * torch.tensor([1.0, 0.0, 1.0]),
        "gas": Ra * 1e3,
    }


@pytest.mark.parametrize("name", spread_systems())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["as it is", "tree", "cells"])
def test_spread_systems(name: str, dtype: torch.dtype, way: str) -> None:
    Ra = spread_systems()[name].to(dtype)
    if not Ra.isfinite().all():
        return  # 1e100 in single precision
    with going(way):
        check(Ra, [len(Ra)], 5.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_atoms_far_apart(dtype: torch.dtype) -> None:
    Ra = torch.tensor([[0.0, 0.0, 0.0], [1e6, 0.0, 0.0]], dtype=dtype)
    assert check(Ra, [2], 5.0).shape == (2, 0)
    assert check(Ra, [2], 1.1e6).shape == (2, 2)


def test_candidates_grow_with_the_number_of_atoms() -> None:
    few, many = (neighbor_search._search(cluster(n), 2.0).shape[1] for n in (3000, 30000))
    assert 10 < many / few < 12


@pytest.mark.parametrize("N", [[3], [400], [3, 400, 3]])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), 1e200])
def test_positions_nowhere(N: list[int], wrong: float) -> None:
    Ra = cluster(sum(N))
    Ra[-1, 1] = wrong
    place = rf"atom {sum(N) - 1} is at \(.*, {re.escape(f'{wrong:g}')}, .*\)"
    with pytest.raises(DataError, match=f"{place}: its neighbors cannot be found. In a simulation, take a shorter"):
        find_edges(Ra, torch.tensor(N), 5.0)


@pytest.mark.parametrize("N", [[3], [2, 4], []])
def test_sizes_that_do_not_fit(N: list[int]) -> None:
    with pytest.raises(DataError, match=f"N adds up to {sum(N)} atoms, but Ra has 5 positions"):
        find_edges(cluster(5), torch.tensor(N, dtype=torch.int64), 5.0)


def test_no_molecules() -> None:
    assert find_edges(cluster(0), torch.empty(0, dtype=torch.int64), 5.0).shape == (2, 0)


@pytest.mark.parametrize("num_atoms", [20, 200])
def test_positions_with_a_graph(num_atoms: int) -> None:
    Ra = cluster(num_atoms).requires_grad_()
    edges = find_edges(Ra, torch.tensor([num_atoms]), 5.0)
    assert not edges.requires_grad
    with torch.inference_mode():
        assert torch.equal(find_edges(Ra, torch.tensor([num_atoms]), 5.0), edges)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_edges_are_where_the_positions_are() -> None:
    N = torch.tensor([22, 500, 22])
    Ra = cluster(544)
    edges = find_edges(Ra.cuda(), N.cuda(), 5.0)
    assert edges.is_cuda
    assert torch.equal(edges.cpu(), find_edges(Ra, N, 5.0))


def test_a_potential_takes_them() -> None:
    potential = make_potential([entry for entry in LAYER_ENTRIES if entry[0] != "ElectrostaticEnergy"]).eval()
    batch = Batch.from_data_list(some_molecules())
    expected = potential(batch)
    batch.edge_index = find_edges(batch.Ra, batch.N, 4.0)
    for name, value in potential(batch).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-12)


def test_whole_lists_are_taken_in_any_order() -> None:
    edges = all_edges([4, 1, 3])
    order = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(0))
    for whole in (edges, edges.flip(0), edges[:, order], torch.cat((edges, edges[:, order]), dim=1), edges[:, :0]):
        check_edges(whole, 8)


PAIR = [[1, 0], [0, 1]]
NOT_WHOLE = {
    "one direction": (
        [[1, 2, 2], [0, 0, 1]],
        "has pairs in one direction alone: 3, the first between the atoms 0 and 1",
    ),
    "the other direction": ([[0, 0, 1], [1, 2, 2]], "has pairs in one direction alone: 3"),
    "one is missing": (
        [[1, 0, 2], [0, 1, 1]],
        "has pairs in one direction alone: 1, the first between the atoms 1 and 2",
    ),
    "as many of both": ([[1, 0], [0, 2]], "has pairs in one direction alone: 2"),
    "one is there twice": ([[1, 0, 1], [0, 1, 0]], "has pairs in one direction alone: 1"),
    "itself": (
        [[1, 0, 2], [0, 1, 2]],
        "an edge from atom 2 to itself, which only in a periodic cell may lead to an image",
    ),
    "too high": ([[3, 0], [0, 3]], "names atom 3, but the atoms are 0 to 2. Set num_nodes"),
    "negative": ([[1, 0, -1, 0], [0, 1, 0, -1]], "names atom -1"),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_lists_that_are_not_whole_are_refused(name: str) -> None:
    edges, message = NOT_WHOLE[name]
    with pytest.raises(DataError, match=f"edge_index .*{message}.* Or leave edge_index out"):
        check_edges(torch.tensor(edges), 3)


@pytest.mark.parametrize(
    ("edges", "kind"),
    [
        (torch.tensor(PAIR, dtype=torch.int32), r"int32 of shape \(2, 2\)"),
        (torch.tensor(PAIR, dtype=torch.float64), r"float64 of shape \(2, 2\)"),
        (torch.zeros(6, 2, dtype=torch.int64), r"int64 of shape \(6, 2\)"),
        (torch.zeros(2, dtype=torch.int64), r"int64 of shape \(2,\)"),
    ],
)
def test_lists_of_another_kind_are_refused(edges: torch.Tensor, kind: str) -> None:
    with pytest.raises(DataError, match=f"edge_index is {kind}. Give int64 of shape"):
        check_edges(edges, 3)


def test_a_potential_refuses_a_list_with_one_direction_alone() -> None:
    """It would be taken for no interactions, or for half of them."""
    potential, batch = make_potential().eval(), Batch.from_data_list(some_molecules())
    batch.edge_index = batch.edge_index[:, batch.edge_index[0] < batch.edge_index[1]]
    with pytest.raises(DataError, match="in one direction alone"):
        potential(batch)
