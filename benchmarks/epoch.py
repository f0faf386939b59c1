"""Wall time of an epoch of the specification's run on alanine dipeptide, side by side with PyG's SchNet.

python benchmarks/epoch.py --json epoch.json

Ours is pyg_nnp.training.fit.fit: training, validation, history and checkpoints. PyG's is the usual loop over
DataLoaders, edges found beforehand, nothing saved. After each epoch of ours comes one of PyG's, and then some steps and
evaluations alone, on a batch that is there already. What an epoch takes without its steps, and without its steps and
evaluations, is given as a share of it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from common import (
    BATCH_SIZE,
    TASKS,
    Contender,
    Ours,
    PyG,
    Row,
    check_agreement,
    configuration,
    make_dataset,
    make_parser,
    measure,
    parse_arguments,
    report,
    seconds,
    summary,
    system,
)
from frames import Frame, dipeptides
from torch import Tensor
from torch_geometric.loader import DataLoader

from pyg_nnp.data import split_dataset
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.callbacks.files import Checkpoints, HistoryWriter
from pyg_nnp.training.fit import fit
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.state import TrainingData, TrainingSettings, TrainingState

ALONE = 3  # steps and evaluations alone after each epoch

# (contender, what) -> times [ms]
Times = dict[tuple[str, str], list[float]]


class UsualLoop:
    """Training and validation with PyG alone."""

    def __init__(self, device: str, frames: Sequence[Frame], parts: Mapping[str, Tensor], batch_size: int) -> None:
        self.pyg = PyG(device)
        training, validation = (
            [self.pyg.data(frames[i]) for i in parts[part].tolist()] for part in ("training", "validation")
        )
        self.training = DataLoader(training, batch_size, shuffle=True)
        self.validation = DataLoader(validation, batch_size)

    def epoch(self) -> dict[str, float]:
        """Train and validate once, and return the errors of energies and forces."""
        for batch in self.training:
            self.pyg.step(batch.to(self.pyg.device))
        errors: dict[str, list[Tensor]] = {"E": [], "Fa": []}
        for batch in self.validation:
            there = batch.to(self.pyg.device)
            for name, predicted in self.pyg.evaluate(there).items():
                errors[name].append(predicted - there[name])
        return {name: float(torch.cat(values).square().mean().sqrt()) for name, values in errors.items()}


def measure_epochs(
    frames: Sequence[Frame], batch_size: int, repeats: int, device: str
) -> tuple[Times, dict[str, int], float]:
    """Return the times, the number of frames of each part, and by how much atomic energies differ."""
    alone: dict[str, Contender] = {"ours": Ours(device), "PyG": PyG(device)}
    difference = check_agreement(alone, frames[:batch_size])
    batches = {name: contender.batch(frames[:batch_size]) for name, contender in alone.items()}
    tasks = {
        (name, task): (getattr(contender, task), batches[name]) for name, contender in alone.items() for task in TASKS
    }
    config, ours = configuration(), Ours(device)
    changes = {"batch_size": batch_size, "max_epochs": 1 + repeats, "patience": None}
    trainer = config.Trainer.model_copy(update=changes)
    times: Times = {(name, what): [] for name in alone for what in ("epoch", *TASKS)}
    start = 0.0

    class Measurement(Callback):
        """Comes after all that saves an epoch."""

        def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
            nonlocal start
            took = {"ours": perf_counter() - start, "PyG": seconds(usual.epoch, device)}
            of_tasks = measure(tasks, ALONE, device, warm_up=1)
            if epoch.number > 1:  # the first warms up
                for name in alone:
                    times[name, "epoch"].append(1e3 * took[name])
                for key, values in of_tasks.items():
                    times[key] += values
            start = perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(frames, Path(folder))
        parts = split_dataset(trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
        usual = UsualLoop(device, frames, parts, batch_size)
        data = TrainingData(dataset, parts)
        settings = TrainingSettings(trainer, ours.loss, config.Metrics, Path(folder))
        start = perf_counter()
        state = TrainingState.begin(ours.potential, trainer, parts)
        fit(state, data, settings, [Checkpoints(Path(folder)), HistoryWriter(Path(folder)), Measurement()])
    return times, {name: len(part) for name, part in parts.items()}, difference


def main() -> None:
    arguments = parse_arguments(make_parser(__doc__), repeats=5)
    started = system(arguments.device)
    frames, batch_size = (dipeptides()[:20], 4) if arguments.small else (dipeptides(), BATCH_SIZE)
    times, sizes, difference = measure_epochs(frames, batch_size, arguments.repeats, arguments.device)
    rows: list[Row] = []
    for name in ("ours", "PyG"):
        epoch = summary(times[name, "epoch"])
        step, evaluation = (float(np.median(times[name, task])) for task in TASKS)
        # the last batch is smaller
        steps, evaluations = sizes["training"] / batch_size * step, sizes["validation"] / batch_size * evaluation
        rest = {
            "not_steps": 1 - steps / epoch["median_ms"],
            "neither_steps_nor_evaluations": 1 - (steps + evaluations) / epoch["median_ms"],
        }
        ratio = float(np.median(times["PyG", "epoch"])) / epoch["median_ms"]
        rows.append(
            {"contender": name, **epoch, "PyG / this": ratio, "step_ms": step, "evaluation_ms": evaluation, **rest}
        )
    report("An epoch", rows, arguments, started, frames=sizes, difference_of_atomic_energies=difference)


if __name__ == "__main__":
    main()
