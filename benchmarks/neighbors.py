"""The search for neighbors, and sums over the atoms of each molecule, side by side with other libraries.

python benchmarks/neighbor_search.py --threads 1 --json neighbor_search.json

Atoms are at random places of a cube, 0.1 of them in each cubic Å, about as many as in organic matter. torch-cluster,
torch-scatter and vesin take part where they are installed. They return edges in an order of their own; the others sort
them. Sums are of (A, F) numbers, F = 1 as for charges and F = 128 as for features.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from common import CUTOFF, Row, make_parser, measure, parse_arguments, report, summary, system
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.functional import neighbor_search
from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.functional.neighbor_search import find_edges

DENSITY = 0.1  # atoms / Å³
# molecules, atoms of each
SIZES = ((1, 22), (1, 64), (1, 500), (1, 5000), (1, 20_000), (1, 100_000), (64, 22), (64, 100), (32, 300))
MOST_PAIRS = 20_000_000  # of atoms of the same molecule: beyond, all of them take too much memory
MOST_NEIGHBORS = 500  # torch-cluster leaves out what is more
WIDTHS = (1, 128)

Contenders = dict[str, Callable[[Batch], Any]]


def random_batch(molecules: int, atoms: int, device: str) -> Batch:
    """Return molecules of atoms at random places."""
    random = torch.Generator().manual_seed(0)
    batch = Batch(Ra=torch.rand(molecules * atoms, 3, generator=random) * (atoms / DENSITY) ** (1 / 3))
    batch.N = torch.full((molecules,), atoms)
    batch.batch = torch.arange(molecules).repeat_interleave(atoms)
    batch.ptr = torch.arange(molecules + 1) * atoms
    for width in WIDTHS:
        batch[f"of_{width}"] = torch.randn(molecules * atoms, width, generator=random)
    return batch.to(device)


def ours(batch: Batch, few_atoms: int | None = None) -> Tensor:
    """Find edges; all pairs are tried in molecules of up to so many atoms, the others are searched by SciPy."""
    switch = neighbor_search._FEW_ATOMS
    neighbor_search._FEW_ATOMS = switch if few_atoms is None else few_atoms
    try:
        return find_edges(batch.Ra, batch.N, CUTOFF)
    finally:
        neighbor_search._FEW_ATOMS = switch


def installed(package: str) -> Any:
    """Return a package, or none."""
    return importlib.import_module(package) if find_spec(package) else None


def of_torch_cluster(torch_cluster: Any, batch: Batch) -> Tensor:
    return torch_cluster.radius_graph(batch.Ra, r=CUTOFF, batch=batch.batch, max_num_neighbors=MOST_NEIGHBORS)


def of_vesin(vesin: Any, batch: Batch) -> Tensor:
    search, no_box = vesin.NeighborList(cutoff=CUTOFF, full_list=True), np.zeros((3, 3))
    found, first = [], 0
    for points in batch.Ra.cpu().double().split(batch.N.tolist()):
        edges = search.compute(points.numpy(), no_box, periodic=False, quantities="ij")
        found.append(torch.from_numpy(np.stack(edges).astype(np.int64)) + first)
        first += len(points)
    return torch.cat(found, dim=1).to(batch.Ra.device)


def searches(molecules: int, atoms: int) -> Contenders:
    """Return what finds the edges of such a batch."""
    found: Contenders = {"find_edges": ours, "SciPy": partial(ours, few_atoms=0)}
    if molecules * atoms**2 // 2 <= MOST_PAIRS:
        found["plain torch"] = partial(ours, few_atoms=atoms)
    for package, function in {"torch_cluster": of_torch_cluster, "vesin": of_vesin}.items():
        if module := installed(package):
            found[package.replace("_", "-")] = partial(function, module)
    return found


def sums(width: int) -> Contenders:
    """Return what adds up the atoms of each molecule."""

    def values(batch: Batch) -> Tensor:
        return batch[f"of_{width}"]

    found: Contenders = {"sum_over_atoms": lambda batch: sum_over_atoms(values(batch), batch.batch, len(batch.N))}
    if scatter := installed("torch_scatter"):
        found["torch-scatter"] = lambda b: scatter.scatter_add(values(b), b.batch, dim=0, dim_size=len(b.N))
        found["torch-scatter, segments"] = lambda b: scatter.segment_csr(values(b), b.ptr)
    return found


def difference_of_edges(contenders: Contenders, batch: Batch) -> float:
    """Return by how much the contenders' numbers of edges differ, as a share.

    Raises:
        AssertionError: they differ by more than pairs at the cutoff can, which are in or out by rounding.
    """
    counts = {name: function(batch).shape[1] for name, function in contenders.items()}
    worst = (max(counts.values()) - min(counts.values())) / max(counts.values())
    assert worst < 1e-5, f"the contenders find different numbers of edges: {counts}"
    return worst


def difference_of_sums(contenders: Contenders, batch: Batch) -> float:
    """Return by how much sums differ, as a share of the largest.

    Raises:
        AssertionError: they differ by more than rounding.
    """
    results = [function(batch) for function in contenders.values()]
    worst = max(float((result - results[0]).abs().max() / results[0].abs().max()) for result in results)
    assert worst < 1e-4, f"the contenders have different sums: {worst:.1e} of the largest"
    return worst


def rows_of(task: str, contenders: Mapping[str, Callable[[Batch], Any]], batch: Batch, options: Any) -> list[Row]:
    """Return the times of all contenders, a row for each."""
    tasks = {name: (function, batch) for name, function in contenders.items()}
    times = measure(tasks, options.repeats, options.device, warm_up=3)
    size = {"molecules": len(batch.N), "atoms": int(batch.N[0])}
    return [{"task": task, **size, "contender": name, **summary(values)} for name, values in times.items()]


def main() -> None:
    arguments = parse_arguments(make_parser(__doc__), repeats=7)
    started = system(arguments.device)
    started["versions"] |= {name: version(name) for name in ("scipy", "vesin") if find_spec(name)}
    rows: list[Row] = []
    of_edges: list[float] = []
    of_sums: list[float] = []
    sizes: Sequence[tuple[int, int]] = ((1, 22), (2, 200)) if arguments.small else SIZES
    for molecules, atoms in sizes:
        batch = random_batch(molecules, atoms, arguments.device)
        finders = searches(molecules, atoms)
        of_edges.append(difference_of_edges(finders, batch))
        rows += rows_of(f"edges within {CUTOFF:g} Å", finders, batch, arguments)
        if molecules == 1:
            continue
        for width in WIDTHS:
            adders = sums(width)
            of_sums.append(difference_of_sums(adders, batch))
            rows += rows_of(f"sums, F = {width}", adders, batch, arguments)
    differences = {"difference_of_edges": max(of_edges), "difference_of_sums": max(of_sums)}
    report("Neighbors and sums", rows, arguments, started, **differences)


if __name__ == "__main__":
    main()
