"""The training loop, in functions that read downwards."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from pyg_nnp.config import Trainer, Weights
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError
from pyg_nnp.potential.checkpoint import BEST, LAST, read_saved, save_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import locked_folder, write_durably
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.training.metrics import Errors, evaluate, weighted_sum
from pyg_nnp.training.profile import UNTIMED, Stopwatch
from pyg_nnp.training.state import Best, Progress, Training, restore_training, save_training
from pyg_nnp.training.step import Gradients, TrainingError, rate_schedule, train_epoch

log = logging.getLogger(__name__)

HISTORY = "history.csv"
# an evaluation takes as much memory as a training step of 0.4 times as many atoms (benchmarks/steps.py)
ATOMS_TO_EVALUATE = 8192


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

    def validated(self, errors: Errors, loss: Weights, metrics: Weights) -> "Epoch":
        """Return the epoch with its errors on the validation part."""
        score = weighted_sum(errors, metrics)
        return replace(self, errors=errors, validation_loss=weighted_sum(errors, loss), score=score)

    def row(self) -> dict[str, float]:
        """Return the line of the epoch in ``history.csv``."""
        known = {"validation_loss": self.validation_loss, "score": self.score}
        row = {"epoch": self.number, "learning_rate": self.learning_rate, "training_loss": self.loss}
        row |= {name: value for name, value in known.items() if value is not None}
        return row | {f"{kind}_{name}": value for kind, of in self.errors.items() for name, value in of.items()}


def large_batch(dataset: MoleculeDataset, at_least: int) -> int:
    """Return a number of frames to evaluate at once: some thousand atoms, which keep all processors busy."""
    return max(at_least, ATOMS_TO_EVALUATE // dataset.max_atoms)


def evaluate_frames(
    potential: Potential, dataset: MoleculeDataset, frames: Tensor, at_least: int, *weights: Weights
) -> Errors:
    """Return the errors of a potential over some frames, in large batches of ``at_least`` so many frames."""
    device = potential.device
    batches = dataset.batches(frames, large_batch(dataset, at_least))
    return evaluate(potential, (batch.to(device) for batch in batches), *weights)


def fit(
    potential: Potential,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    trainer: Trainer,
    loss: Weights,
    metrics: Weights,
    folder: Path,
    on_step: Callable[[int], None] = lambda taken: None,
    on_epoch: Callable[[Epoch, Best], None] = lambda epoch, best: None,
    stopwatch: Stopwatch = UNTIMED,
    protocol: Mapping[str, Any] | None = None,
    place: str = "configuration",
) -> Best:
    """Train a potential, and save the best and the last state of it.

    With ``trainer.resume`` it goes on from ``last.safetensors``, if there is one. When Ctrl-C, or a signal that raises
    :class:`pyg_nnp.runtime.signals.Stopped`, ends it, the state after the last step is saved.

    Args:
        potential: on the device and in the precision to train in.
        dataset: all frames.
        parts: the frames of ``training`` and, where there is one, ``validation``.
        trainer: how to train.
        loss: weights of the loss.
        metrics: weights of the score.
        folder: where ``best.safetensors``, ``last.safetensors`` and ``history.csv`` go; it exists.
        on_step: told how many optimiser steps were taken, at the beginning and after each.
        on_epoch: told of each epoch when it is over.
        stopwatch: told of each part of an epoch when it is over.
        protocol: all of configuration and data that must be the same when a training goes on.
        place: what to call the configuration in messages.

    Returns:
        Which epoch was best.

    Raises:
        TrainingError: the loss, a gradient, or every score, is not finite.
        ConfigError: it cannot go on since configuration or data changed.
    """
    validation = parts.get("validation")
    # without a validation part one batch shows whether the last step, which no loss has seen, went wrong
    seen = parts["training"][: trainer.batch_size] if validation is None else validation
    steps = -(-len(parts["training"]) // trainer.batch_size)
    share = rate_schedule(trainer.schedule, steps * trainer.max_epochs, trainer.warmup_ratio)
    order = torch.Generator().manual_seed(trainer.seed)
    best = Best(trainer.patience if validation is not None else None)
    training = Training(
        potential,
        Adam(potential.parameters(), lr=trainer.learning_rate, fused=True),
        Progress(best, order.get_state(), steps),
        protocol or {},
    )
    if trainer.resume:
        go_on(training, folder, place, trainer.max_epochs)
    progress = training.progress
    gradients = Gradients(potential, potential.parameters(), loss, trainer.max_norm, stopwatch)

    def rate(step: int) -> float:
        return trainer.learning_rate * share(step)

    stopwatch.lap("rest")
    try:
        while progress.epoch <= trainer.max_epochs and not best.exhausted(progress.epoch - 1):
            on_step(progress.taken)
            order.set_state(progress.order)
            frames = parts["training"][torch.randperm(len(parts["training"]), generator=order)]
            training_loss = train_epoch(training, dataset, frames, trainer, gradients, rate, on_step, stopwatch)
            epoch = Epoch(progress.epoch, training_loss, rate(progress.taken - 1))
            errors = evaluate_frames(potential, dataset, seen, trainer.batch_size, loss, metrics)
            if validation is not None:
                epoch = epoch.validated(errors, loss, metrics)
            elif not math.isfinite(weighted_sum(errors, loss)):
                raise TrainingError(
                    f"epoch {epoch.number}: after its last step the loss is not finite. Choose a smaller "
                    "learning_rate, and look for outliers in the data."
                )
            stopwatch.lap("validation")
            with deferred():
                end_epoch(training, epoch, order.get_state(), folder)
            on_epoch(epoch, best)
            stopwatch.end_epoch()
    except KeyboardInterrupt:
        with deferred():
            save_training(training, folder / LAST, {})
        log.info("Stopped in epoch %d after %d of %d steps; saved in %s.", progress.epoch, progress.step, steps, folder)
        raise
    if best.exhausted(progress.epoch - 1):
        log.info("No better score for %d epochs: stopped early, after epoch %d.", best.patience, progress.epoch - 1)
    if best.epoch == 0:
        raise TrainingError(
            f"no epoch had a finite validation score, so there is no best potential; the last one is in {folder}. "
            "Look for outliers in the validation part, and choose a smaller learning_rate."
        )
    check_best(best, folder)
    return best


def go_on(training: Training, folder: Path, place: str, max_epochs: int) -> None:
    """Restore a training from its folder, if there is something to go on from, and say what was restored.

    Raises:
        ConfigError: configuration or data changed.
        DataError: what was saved is damaged, or is not of one training.
    """
    if not (folder / LAST).exists() and not _has_an_epoch(folder):
        log.info("There is nothing in %s to go on from: a new training.", folder)
        return
    changed = restore_training(training, folder / LAST, place)
    progress = training.progress
    # the best is saved before the last, which a kill may have come between
    if progress.best.epoch and read_saved(folder / BEST)[0]["epoch"] != progress.epoch:
        check_best(progress.best, folder)
    if progress.epoch > max_epochs:
        log.info("All %d epochs are done. For more, start a new training with pretrained: %s.", max_epochs, folder)
        return
    log.info(
        "Going on in epoch %d after %d steps: restored parameters, optimiser, learning rate, random generators, order "
        "of frames, and the best score %g of epoch %d.",
        progress.epoch,
        progress.step,
        progress.best.score,
        progress.best.epoch,
    )
    if changed:
        log.warning("The last bits may differ from those of a run that was not stopped: %s.", "; ".join(changed))


def check_best(best: Best, folder: Path) -> None:
    """Refuse a best potential that is not that of this training.

    Raises:
        DataError: it is another, or damaged.
    """
    description, _ = read_saved(folder / BEST)
    # trainings that were begun with older versions do not say
    if description["epoch"] != best.epoch or best.sha256 not in (None, description["sha256"]):
        raise DataError(
            f"{folder / BEST}: this is not the potential of epoch {best.epoch}, the best one of this training. Put "
            "the right file in its place, or start a new training."
        )


def _has_an_epoch(folder: Path) -> bool:
    """Say whether more was saved than the first epoch alone, whose best state comes before all that goes with it."""
    best = folder / BEST
    return best.exists() and (read_saved(best)[0]["epoch"] > 1 or len(list(_epochs_before(folder / HISTORY, 3))) > 1)


def end_epoch(training: Training, epoch: Epoch, order: Tensor, folder: Path) -> None:
    """Save an epoch: the best state, the history and, when these are there, the state to go on from."""
    progress = training.progress
    about: dict[str, Any] = {"epoch": epoch.number, "score": epoch.score}
    # without a validation part the last state is the best
    if progress.best.improves(-epoch.number if epoch.score is None else epoch.score, epoch.number):
        progress.best.sha256 = save_potential(training.potential, folder / BEST, about)
    write_history(folder / HISTORY, epoch.row())
    progress.order, progress.epoch, progress.step, progress.loss = order, epoch.number + 1, 0, 0.0
    training.remember_random_state()
    save_training(training, folder / LAST, about)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the folder of a model this run's own; if nothing comes into it, it is taken away again.

    Raises:
        TrainingError: another run was quicker.
    """
    try:
        with locked_folder(folder, wait=False):
            yield
    except BlockingIOError as error:
        raise TrainingError(f"{folder} is in use by another run. Give this one another folder with -o.") from error


def write_history(path: Path, row: Mapping[str, float]) -> None:
    """Add the line of an epoch to a CSV file; lines of it and of later epochs, which a kill may have left, go."""
    # line by line, so that memory does not grow with the number of epochs
    lines = chain([",".join(row)], _epochs_before(path, row["epoch"]), [",".join(map(repr, row.values()))])
    write_durably(path, (f"{line}\n".encode() for line in lines))


def _epochs_before(path: Path, epoch: float) -> Iterator[str]:
    if path.exists():
        with path.open() as file:
            next(file, None)
            yield from (line.rstrip("\n") for line in file if int(line.partition(",")[0]) < epoch)
