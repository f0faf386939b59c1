"""The training loop, in functions that read downwards."""

import csv
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch_geometric.data import Batch

from pyg_nnp.checkpoint import save_potential
from pyg_nnp.config import Trainer
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import UserError
from pyg_nnp.loss import Weights, weighted_loss
from pyg_nnp.metrics import Errors, evaluate, weighted_sum
from pyg_nnp.model import Potential
from pyg_nnp.stopwatch import UNTIMED, Stopwatch

log = logging.getLogger(__name__)

HISTORY = "history.csv"
# an evaluation takes as much memory as a training step of 0.4 times as many atoms (benchmarks/steps.py)
_ATOMS_TO_EVALUATE = 8192


class TrainingError(UserError):
    """Training cannot go on."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        number: counted from 1.
        loss: mean training loss over the frames of the epoch.
        learning_rate: of its last step.
        validation_loss: the loss over the whole validation part, if there is one.
        score: the weighted sum of the metrics on it.
        errors: those metrics.
    """

    number: int
    loss: float
    learning_rate: float
    validation_loss: float | None = None
    score: float | None = None
    errors: Errors = field(default_factory=dict)

    def row(self) -> dict[str, float]:
        """Return the line of the epoch in ``history.csv``."""
        known = {"validation_loss": self.validation_loss, "score": self.score}
        row = {"epoch": self.number, "learning_rate": self.learning_rate, "training_loss": self.loss}
        row |= {name: value for name, value in known.items() if value is not None}
        return row | {f"{kind}_{name}": value for kind, of in self.errors.items() for name, value in of.items()}


@dataclass
class Best:
    """Early stopping: the best score so far and how long ago that was.

    A score that is not finite is never an improvement.
    """

    patience: int | None
    score: float = math.inf
    epoch: int = 0

    def improves(self, score: float, epoch: int) -> bool:
        """Say whether this score is the best so far, and remember it if so."""
        better = math.isfinite(score) and score < self.score
        if better:
            self.score, self.epoch = score, epoch
        return better

    def exhausted(self, epoch: int) -> bool:
        """Say whether there was no improvement for ``patience`` epochs."""
        return self.patience is not None and epoch - self.epoch >= self.patience


def rate_schedule(name: str, num_steps: int, warmup_ratio: float) -> Callable[[int], float]:
    """Return the share of the learning rate at each optimiser step, counted from 0.

    Before the first step it is 0, after the warm-up 1, and at the last step 0 again (if not ``constant``). The first
    step has a share of the warm-up already: with 0 it would be no step.

    Args:
        name: ``linear`` (to 0 at the last step), ``cosine`` (to 0 along half a cosine) or ``constant``.
        num_steps: number T of all planned steps.
        warmup_ratio: over this share of them the rate rises linearly from 0.
    """
    # the rate must have a step to be 1 at, and one to end at
    warmup = min(round(warmup_ratio * num_steps), max(num_steps - 2, 0))

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min((step - warmup) / max(num_steps - 1 - warmup, 1), 1.0)
        return {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "constant": 1.0}[name]

    return share


def large_batch(dataset: MoleculeDataset, at_least: int) -> int:
    """Return a number of frames to evaluate at once: some thousand atoms, which keep all processors busy."""
    return max(at_least, _ATOMS_TO_EVALUATE // dataset.max_atoms)


def train_epoch(
    potential: Potential,
    batches: Iterable[Batch],
    weights: Weights,
    optimizer: Optimizer,
    schedule: LRScheduler,
    on_step: Callable[[], None],
    stopwatch: Stopwatch = UNTIMED,
) -> float:
    """Take one optimiser step for each batch.

    Returns:
        The mean loss over all frames.
    """
    potential.train()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    total, frames = torch.zeros((), dtype=torch.float64), 0
    for batch in batches:
        stopwatch.lap("data")
        predicted = potential(batch)
        stopwatch.lap("forward")
        loss = weighted_loss(predicted, batch, weights)
        optimizer.zero_grad()
        stopwatch.lap("rest")
        # only what the optimiser moves: the gradient with respect to the positions would cost as much again
        loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
        stopwatch.lap("backward")
        optimizer.step()
        schedule.step()
        stopwatch.lap("optimiser")
        on_step()
        # kept as a tensor, so that a GPU is waited for once an epoch and not at each step
        total = total.to(loss.device) + loss.detach() * batch.num_graphs
        frames += batch.num_graphs
        stopwatch.lap("rest")
    return float(total) / frames


def fit(
    potential: Potential,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    trainer: Trainer,
    loss: Weights,
    metrics: Weights,
    folder: Path,
    on_step: Callable[[], None],
    on_epoch: Callable[[Epoch, Best], None],
    stopwatch: Stopwatch = UNTIMED,
) -> Best:
    """Train a potential and save the best and the last state of it.

    Args:
        potential: on the device and in the precision to train in.
        dataset: all frames.
        parts: the frames of ``training`` and, where there is one, ``validation``.
        trainer: the protocol.
        loss: weights of the loss.
        metrics: weights of the score.
        folder: where ``best``, ``last`` and ``history.csv`` go; it exists.
        on_step: called after each optimiser step.
        on_epoch: told of each epoch when it is over.
        stopwatch: told of each part of an epoch when it is over.

    Returns:
        Which epoch was best.

    Raises:
        TrainingError: the training loss, or every score, is not finite.
    """
    device = potential.energy_shift.device
    training, validation = parts["training"], parts.get("validation")
    steps = -(-len(training) // trainer.batch_size)
    share = rate_schedule(trainer.schedule, steps * trainer.max_epochs, trainer.warmup_ratio)
    optimizer = Adam(potential.parameters(), lr=trainer.learning_rate, fused=True)
    schedule = LambdaLR(optimizer, share)
    order = torch.Generator().manual_seed(trainer.seed)
    best = Best(trainer.patience if validation is not None else None)
    stopwatch.lap("rest")  # what all epochs need
    for number in range(1, trainer.max_epochs + 1):
        batches = (batch.to(device) for batch in dataset.batches(training, trainer.batch_size, order))
        training_loss = train_epoch(potential, batches, loss, optimizer, schedule, on_step, stopwatch)
        epoch = Epoch(number, training_loss, trainer.learning_rate * share(number * steps - 1))
        # without a validation part one batch shows whether the last step, which no loss has seen, went wrong
        seen = training[: trainer.batch_size] if validation is None else validation
        batches = (batch.to(device) for batch in dataset.batches(seen, large_batch(dataset, trainer.batch_size)))
        errors = evaluate(potential, batches, loss, metrics)
        stopwatch.lap("validation")
        validation_loss, score = weighted_sum(errors, loss), weighted_sum(errors, metrics)
        if not math.isfinite(training_loss) or (validation is None and not math.isfinite(validation_loss)):
            raise TrainingError(
                f"epoch {number}: the training loss is {training_loss}, and {validation_loss} after its last step. "
                f"The best state so far, if any, is in {folder}. "
                "Choose a smaller learning_rate, and look for outliers in the data."
            )
        if validation is not None:
            epoch = replace(epoch, errors=errors, validation_loss=validation_loss, score=score)
        about: dict[str, Any] = {"epoch": number, "score": epoch.score}
        # without a validation part the last state is the best
        if best.improves(-number if epoch.score is None else epoch.score, number):
            save_potential(potential, folder / "best", about)
        save_potential(potential, folder / "last", about)
        append_row(folder / HISTORY, epoch.row())
        on_epoch(epoch, best)
        stopwatch.end_epoch()
        if best.exhausted(number):
            log.info("No better score for %d epochs: stopped early, after epoch %d.", trainer.patience, number)
            break
    if best.epoch == 0:
        raise TrainingError(
            f"no epoch had a finite validation score, so there is no best potential; the last one is in {folder}. "
            "Look for outliers in the validation part, and choose a smaller learning_rate."
        )
    return best


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the folder of a model this run's own: its first mark there is an empty history.

    If nothing comes after it, it is taken away again.

    Raises:
        TrainingError: another run was quicker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    history = folder / HISTORY
    try:
        history.touch(exist_ok=False)
    except FileExistsError as error:
        raise TrainingError(f"{folder} is in use by another run. Give this one another folder with -o.") from error
    try:
        yield
    finally:
        if history.stat().st_size == 0 and len(list(folder.iterdir())) == 1:
            history.unlink()
            folder.rmdir()


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a line to a CSV file, and its header when the file is empty or new."""
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
