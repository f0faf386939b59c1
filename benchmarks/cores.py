"""Steps and evaluations of the three cores, side by side, in processor time.

OMP_NUM_THREADS=1 python benchmarks/cores.py --threads 1 --json cores.json

A step of few frames is that of ``pyg-nnp init`` for energies and forces, with its model and loss, and with Adam or with
the recipe's own optimiser and averages. A step of 64 frames has the specification's loss: energies, forces, charges,
dipoles and Coulomb energies. A molecule alone has charges and Coulomb energy too, and its neighbors are searched for.
Processor time does not count other programs, but what these leave of a core and its cache.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch
from common import (
    BATCH_SIZE,
    Ours,
    Row,
    in_new_process,
    make_data,
    make_parser,
    parse_arguments,
    report,
    summary,
    system,
)
from frames import Frame, cluster, dipeptides
from torch_geometric.data import Batch

from pyg_nnp.config import config_from_dict
from pyg_nnp.config.recipes import RECIPES
from pyg_nnp.config.yaml_reader import parse_yaml
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.potential.build import build_potential
from pyg_nnp.training.averages import Averages
from pyg_nnp.training.optimizers import make_optimizer
from pyg_nnp.training.step import Gradients

FIELDS = ("coordinates", "atomic_numbers", "energy", "forces")
ATOMS = 21  # of a small frame, as aspirin has


class Recipe(Ours):
    """What ``init`` writes for energies and forces; without ``own`` with Adam and no averages."""

    def __init__(self, device: str, architecture: str, own: bool) -> None:
        self.device = device
        frames = [dipeptides()[n] for n in range(0, 500, 100)]
        arrays = {name: np.array([frame[name] for frame in frames]) for name in FIELDS}
        arrays = {name: value[:, :ATOMS] if value.ndim > 1 else value for name, value in arrays.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frames.npz"
            np.savez(path, **arrays)
            document = parse_yaml(first_config(path, {}, architecture)[0], architecture)
            document["Trainer"] |= {} if own else {"optimizer": "adam", "ema": None}
            config = config_from_dict(document)
            dataset = MoleculeDataset.from_config(config, Path(folder))
            self.frames = dataset.batch(torch.arange(len(dataset))).to(device)
        self.loss = config.Modelhub.internal_FFs["FF01"].loss
        self.potential = build_potential(config, "FF01").to(device)
        self.potential.initialise(self.frames)
        self.optimizer = make_optimizer(self.potential, config.Trainer)
        self.gradients = Gradients(self.potential, self.potential.parameters(), self.loss, config.Trainer.max_norm)
        self.averages = Averages(self.potential, config.Trainer.ema) if config.Trainer.ema else None
        self.potential.train()

    def batch(self, frames: Sequence[Frame]) -> Batch:
        return self.frames

    def step(self, batch: Batch) -> None:
        self.gradients(batch)
        self.optimizer.step()
        if self.averages is not None:
            self.averages.update(0)


class Alone(Ours):
    """The specification's model, given one molecule without neighbors."""

    def batch(self, frames: Sequence[Frame]) -> Batch:
        return Batch.from_data_list([make_data(frame) for frame in frames]).to(self.device)


def tasks(small: bool) -> dict[str, tuple[Callable[..., Ours], Sequence[Frame], str]]:
    """Return what is measured: name -> what makes a contender of an architecture, frames, and what it does."""
    whole, large = (2, 64) if small else (BATCH_SIZE, 5000)
    every = len(dipeptides()) // whole
    found: dict[str, tuple[Callable[..., Ours], Sequence[Frame], str]] = {
        f"step of 5 x {ATOMS} atoms, Adam": (partial(Recipe, own=False), [], "step"),
        f"step of 5 x {ATOMS} atoms, recipe": (partial(Recipe, own=True), [], "step"),
        f"step of {whole} x 22 atoms, whole loss": (Ours, dipeptides()[::every][:whole], "step"),
        "energies and forces of 22 atoms": (Alone, dipeptides()[:1], "evaluate"),
        f"energies and forces of {large} atoms": (Alone, [cluster(large)], "evaluate"),
    }
    # a step of the recipe's and a large evaluation show whether all of it runs
    return dict(list(found.items())[1::3]) if small else found


def measure(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, Row]:
    """Return the processor time of functions that take turns, after three turns to warm up."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(3 + repeats):
        for name, function in functions.items():
            start = process_time()
            function()
            times[name].append(1e3 * (process_time() - start))
    return {name: summary(values[3:]) for name, values in times.items()}


def main() -> None:
    arguments = parse_arguments(make_parser(__doc__), repeats=11)
    started = system(arguments.device)
    rows: list[Row] = []
    for task, (make, frames, what) in tasks(arguments.small).items():
        contenders = {name: partial(make, architecture=name) for name in RECIPES}
        functions: dict[str, Callable[[], object]] = {}
        for name, of_core in contenders.items():
            core = of_core(arguments.device)
            functions[name] = partial(getattr(core, what), core.batch(frames))
        for name, figures in measure(functions, arguments.repeats).items():
            alone = in_new_process(contenders[name], frames, what, arguments.device, arguments.threads)
            rows.append({"task": task, "core": name, **figures, "peak_MB": alone["peak_MB"]})
    report("Cores", rows, arguments, started)


if __name__ == "__main__":
    main()
