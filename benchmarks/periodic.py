"""Periodic cells: training steps beside molecules with as many pairs, and time and memory of large boxes.

OMP_NUM_THREADS=1 python benchmarks/periodic.py steps --threads 1 --json steps.json
OMP_NUM_THREADS=1 python benchmarks/periodic.py sizes --threads 1 --json sizes.json
OMP_NUM_THREADS=1 python benchmarks/periodic.py sizes --threads 1 --ordered --json ordered.json

Atoms are about as dense as in water, 0.1 in each cubic Å, and a tenth of their distance off a cubic lattice; the cutoff
is 5 Å. Steps are of what ``pyg-nnp init`` writes. Molecules are the same atoms without a cell, drawn together until
as many pairs are within the cutoff. Sizes are of energy, forces and stress by SchNet, neighbors included, with and
without charges and their Ewald sum; atoms follow each other at random, or, with ``--ordered``, so that neighbors are
near in memory. Times are processor time; memory is what two calls add to that of the process.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CUTOFF, Ours, Row, in_new_process, make_parser, parse_arguments, report, system
from cores import measure
from frames import Frame
from scipy.spatial.distance import pdist
from torch_geometric.data import Batch, Data

from pyg_nnp.config import config_from_dict
from pyg_nnp.config.recipes import RECIPES
from pyg_nnp.config.yaml_reader import parse_yaml
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.potential.build import build_potential
from pyg_nnp.training.step import Gradients

DENSITY = 0.1  # atoms / Å³
FRAMES, ATOMS = 32, 64  # of a step
SIZES = (1000, 3000, 10_000, 30_000)
UNITS = {"cutoff_sr": CUTOFF, "Hartree_in_E": 27.211386245981, "Bohr_in_R": 0.529177210544}


def box(num_atoms: int, seed: int = 0) -> Frame:
    """Return atoms of water in a cube, with labels that are only good for measuring time."""
    rng, edge = np.random.default_rng(seed), (num_atoms / DENSITY) ** (1 / 3)
    a_side = int(np.ceil(num_atoms ** (1 / 3) - 1e-9))
    sites = (np.stack(np.meshgrid(*[np.arange(a_side)] * 3), axis=-1).reshape(-1, 3) + 0.5) * edge / a_side
    chosen = rng.permutation(len(sites))[:num_atoms]
    return {
        "R": sites[chosen] + rng.normal(scale=0.1 * edge / a_side, size=(num_atoms, 3)),
        "Z": np.array([8, 1, 1])[np.arange(num_atoms) % 3],
        "energy": rng.normal(),
        "forces": rng.normal(size=(num_atoms, 3)),
        "stress": rng.normal(scale=0.01, size=6),
        "cell": edge * np.eye(3),
        "pbc": np.ones(3, dtype=bool),
    }


def ordered(frame: Frame) -> Frame:
    """Return a frame of which atoms in the same cube of 5 Å follow each other."""
    order = np.lexsort((frame["R"] // 5).T)
    return frame | {name: frame[name][order] for name in ("R", "Z", "forces")}


def molecule(frame: Frame, num_pairs: int) -> Frame:
    """Return the atoms of a box without cell and stress, scaled so that so many pairs are within the cutoff."""
    distances = np.sort(pdist(frame["R"]))
    scale = CUTOFF / distances[num_pairs - 1 : num_pairs + 1].mean()
    return {name: frame[name] for name in ("Z", "energy", "forces")} | {"R": scale * frame["R"]}


class Recipe(Ours):
    """A step of what ``init`` writes for frames, with Adam."""

    def __init__(self, frames: Sequence[Frame], architecture: str, **mapping: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frames.npz"
            np.savez(path, **{name: np.array([frame[name] for frame in frames]) for name in frames[0]})
            document = parse_yaml(first_config(path, mapping, architecture)[0], architecture)
            document["Modelhub"]["FF01"]["build_params"] |= UNITS
            config = config_from_dict(document)
            dataset = MoleculeDataset.from_config(config, Path(folder))
            dataset.find_neighbors(CUTOFF)
            self.frames = dataset.batch(torch.arange(len(dataset)))
        self.potential = build_potential(config, "FF01")
        self.optimizer = torch.optim.Adam(self.potential.parameters(), fused=True)
        self.gradients = Gradients(
            self.potential, self.potential.parameters(), config.Modelhub.internal_FFs["FF01"].loss
        )


def steps(arguments: argparse.Namespace) -> list[Row]:
    """Return the time of a step of cells, with and without stress, and of molecules with as many pairs."""
    frames = 2 if arguments.small else FRAMES
    cells = [box(ATOMS, seed) for seed in range(frames)]
    rows = []
    for architecture in ["SchNet"] if arguments.small else RECIPES:
        periodic = {
            "cells: E, Fa": Recipe(cells, architecture, S=""),
            "cells: E, Fa, S": Recipe(cells, architecture),
        }
        edges = periodic["cells: E, Fa"].frames
        # each pair is two edges
        pairs = torch.bincount(edges.batch[edges.edge_index[0]], minlength=frames) // 2
        drawn = [molecule(*pair) for pair in zip(cells, pairs.tolist(), strict=True)]
        count = sum(int((pdist(frame["R"]) < CUTOFF).sum()) for frame in drawn)
        assert count == int(pairs.sum()), f"{count} pairs in molecules, {int(pairs.sum())} in cells"
        contenders = {"molecules: E, Fa": Recipe(drawn, architecture), **periodic}
        functions = {name: partial(one.step, one.frames) for name, one in contenders.items()}
        figures = measure(functions, arguments.repeats)
        base = figures["molecules: E, Fa"]["median_ms"]
        for name in contenders:
            of_base = figures[name]["median_ms"] / base
            rows.append(
                {"core": architecture, "frames": name, "pairs": count, **figures[name], "by molecules": of_base}
            )
    return rows


class Large(Ours):
    """Energy, forces and stress of a box without a list of pairs."""

    def __init__(self, device: str, dtype: str, has_charges: bool) -> None:
        layers: list[dict[str, Any]] = [{"name": name} for name in ("RangeSeparation", "GaussianSmearing")]
        layers += [{"name": "RandomAtomEmbedding"}, {"name": "Core", "params": {"num_interactions": 3}}]
        layers += [{"name": name} for name in ("ChargeConservation", "ElectrostaticEnergy") if has_charges]
        layers += [{"name": name} for name in ("EnergyReduce", "Force", "Stress")]
        build_params = {"dim_embedding": 64, "num_rbf": 32, "max_Za": 94, **UNITS}
        data = {"data_path": "none.npz", "features": {"Ra": "R", "Za": "Z"}, "targets": {"E": "energy"}}
        model = {"architecture": "SchNet", "build_params": build_params, "layers": layers, "loss": {"rmse": {"E": 1}}}
        document = {"Datahub": data, "Modelhub": {"FF01": model}, "Trainer": {}, "Metrics": {}}
        self.dtype = getattr(torch, dtype)
        self.potential = build_potential(config_from_dict(document), "FF01").to(self.dtype).eval()

    def batch(self, frames: Sequence[Frame]) -> Batch:
        return Batch.from_data_list([self.data(frame if "cell" in frame else box(8)) for frame in frames])

    def data(self, frame: Frame) -> Data:
        numbers = torch.from_numpy(frame["Z"])
        given = {name: torch.from_numpy(frame[name])[None] for name in ("cell", "pbc")}
        rest = {"N": torch.tensor([len(numbers)]), "Q": torch.zeros(1, dtype=self.dtype), "num_nodes": len(numbers)}
        return Data(Ra=torch.from_numpy(frame["R"]), Za=numbers, cell=given["cell"], pbc=given["pbc"].long(), **rest)

    def evaluate(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self.potential(batch)


def sizes(arguments: argparse.Namespace) -> list[Row]:
    """Return time and memory of boxes."""
    rows = []
    for dtype in ("float32", "float64"):
        for has_charges in (False, True):
            make: Callable[[str], Large] = partial(Large, dtype=dtype, has_charges=has_charges)
            for size in (64, 125) if arguments.small else SIZES:
                contender, frames = make("cpu"), [ordered(box(size)) if arguments.ordered else box(size)]
                (figures,) = measure(
                    {"": partial(contender.evaluate, contender.batch(frames))}, arguments.repeats
                ).values()
                memory = in_new_process(make, frames, "evaluate", "cpu", arguments.threads)["peak_MB"]
                charges = "with Ewald sum" if has_charges else "without"
                rows.append({"dtype": dtype, "charges": charges, "atoms": size, **figures, "peak_MB": memory})
    return rows


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("part", choices=("steps", "sizes"))
    parser.add_argument("--ordered", action="store_true", help="of sizes: neighbors are near in memory")
    arguments = parse_arguments(parser, repeats=9)
    started = system("cpu")
    rows = {"steps": steps, "sizes": sizes}[arguments.part](arguments)
    report(f"Periodic cells: {arguments.part}", rows, arguments, started)


if __name__ == "__main__":
    main()
