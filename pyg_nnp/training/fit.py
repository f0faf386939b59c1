"""The training loop."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from time import perf_counter

import torch

from pyg_nnp.data.labels import mean_weights
from pyg_nnp.errors import TrainingError
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.training.callbacks.base import Callback, CallbackList
from pyg_nnp.training.evaluation import validated
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.schedule import learning_rates, progress
from pyg_nnp.training.sharing import shares_of_batches
from pyg_nnp.training.state import TrainingData, TrainingSettings, TrainingState
from pyg_nnp.training.step import Gradients, take_step

log = logging.getLogger(__name__)


def fit(
    state: TrainingState, data: TrainingData, settings: TrainingSettings, callbacks: Iterable[Callback] = ()
) -> None:
    """Train until ``max_epochs``, or ``max_time``, are over or ``patience`` is exhausted.

    Args:
        state: new, or that of a training that is resumed; it is changed.
        data: of which the training and validation parts are used.
        settings: the options.
        callbacks: they must not change the state. Only :class:`pyg_nnp.training.callbacks.files.Checkpoints` saves it.

    Raises:
        TrainingError: the loss, a gradient, or every score, is not finite.
    """
    trainer, stopping, watching = settings.trainer, state.early_stopping, CallbackList(callbacks)
    learning_rate = learning_rates(state, trainer)
    potential = state.potential
    of_labels = mean_weights(data.dataset.summary, settings.trained_fields, data.parts["training"])
    done = partial(progress, state, trainer)
    gradients = Gradients(
        potential, potential.parameters(), settings.loss, trainer.max_norm, watching.lap, of_labels, done
    )
    state.start_clock()
    try:
        watching(Callback.on_begin, state)
        while not state.is_over(trainer.max_epochs) and not stopping.exhausted(state.epoch - 1):
            loss = train_epoch(state, data, trainer.batch_size, gradients, learning_rate, watching)
            epoch = Epoch(state.epoch, loss, learning_rate(state.global_step - 1))
            with state.averaged():
                epoch = validated(epoch, state, data, settings, done())
            watching(Callback.on_lap, "validation")
            now = state.now()
            epoch = replace(epoch, seconds=round(now - state.clock, 4))
            with deferred():
                # without a validation part the last potential is the best
                is_better = stopping.update(-epoch.number if epoch.score is None else epoch.score, epoch.number)
                state.plateau.update(is_better)
                watching(Callback.on_epoch, state, epoch)
                state.end_epoch(now)
                watching(Callback.on_next_epoch, state, epoch)
    except KeyboardInterrupt:
        with deferred():
            state.seconds = perf_counter() - state.clock
            watching(Callback.on_interrupt, state)
        raise
    finally:
        watching(Callback.on_end, state)
    _check_end(state, settings)


def train_epoch(
    state: TrainingState,
    data: TrainingData,
    batch_size: int,
    gradients: Gradients,
    learning_rate: Callable[[int], float],
    watching: CallbackList,
) -> float:
    """Take the optimiser steps of an epoch that are left, or for which there is time, and return the mean loss.

    Args:
        state: moves on with each step, so that it can be saved after any.
        data: of which the training part is used.
        batch_size: frames of a step.
        gradients: of the potential of the state.
        learning_rate: as a function of the global step, counted from 0.
        watching: the callbacks.

    Raises:
        TrainingError: the loss or a gradient is not finite; the step was not taken.
    """
    state.potential.train()
    device = state.potential.device
    frames = state.shuffled(data.parts["training"])
    remaining = frames[state.step * batch_size :]
    # no frames are split into one part that is empty
    parts = torch.split(remaining, batch_size) if len(remaining) else ()
    shares = shares_of_batches(data.dataset, state.potential, parts)
    # the batches first, which are then known to have ended
    for batch, share, numbers in zip(data.dataset.batches_of([s.frames for s in shares]), shares, parts, strict=False):
        state.agree_on_time()
        if state.step and state.is_out_of_time:
            break
        batch = batch.to(device)
        if share.is_spare:
            batch.is_spare = True
        watching(Callback.on_lap, "data")
        take_step(state, gradients, numbers, batch, learning_rate, data.dataset)
        watching(Callback.on_lap, "optimiser")
        watching(Callback.on_step, state)
        watching(Callback.on_lap, "rest")
    state.agree_on_time()
    return state.loss_sum / min(state.step * batch_size, len(frames))


def _check_end(state: TrainingState, settings: TrainingSettings) -> None:
    """Log an early stop, and refuse a training that has no best potential."""
    stopping, epoch = state.early_stopping, state.epoch - 1
    if stopping.exhausted(epoch):
        log.info("No better score for %d epochs: stopped early, after epoch %d.", stopping.patience, epoch)
    if stopping.epoch == 0:
        raise TrainingError(
            "no epoch had a finite validation score, so there is no best potential; the last one is in "
            f"{settings.folder}. Look for outliers in the validation part, and choose a smaller learning_rate."
        )
