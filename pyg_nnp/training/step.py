"""Optimiser steps: their learning rates, their gradients, and what is said when they fail."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch_geometric.data import Batch, Data

from pyg_nnp.config import Trainer, Weights
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import UserError
from pyg_nnp.functional.geometry import pair_distances
from pyg_nnp.layers.base import Fields
from pyg_nnp.potential.cuda_graphs import CudaGraphs, Predict
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.training.loss import weighted_loss
from pyg_nnp.training.profile import UNTIMED, Stopwatch
from pyg_nnp.training.state import Training


class TrainingError(UserError):
    """Training cannot go on."""


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


class Gradients:
    """The gradients of the loss of a batch.

    Args:
        potential: in training mode when it is called.
        parameters: those that are to be moved.
        weights: of the loss.
        max_norm: the gradients are scaled down to this norm of all of them together, if theirs is larger.
        stopwatch: told of each part when it is over.
    """

    def __init__(
        self,
        potential: Potential,
        parameters: Iterable[Tensor],
        weights: Weights,
        max_norm: float | None = None,
        stopwatch: Stopwatch = UNTIMED,
    ) -> None:
        self._parameters, self._max_norm, self._stopwatch = list(parameters), max_norm, stopwatch
        # no method, so that recordings go, with their memory, when this object does
        self._loss = partial(_loss, self._parameters, weights, stopwatch)
        # a recording has no parts to be timed
        self._compute = CudaGraphs(potential, self._loss) if stopwatch is UNTIMED else partial(self._loss, potential)

    def __call__(self, batch: Batch) -> float:
        """Let each parameter have its gradient of the loss of a batch, and return the loss.

        Raises:
            FloatingPointError: the loss, or the norm of the gradients, is not finite.
        """
        found = self._compute(batch)
        loss, norm = found["loss"], found["norm"]
        for number, parameter in enumerate(self._parameters):
            parameter.grad = found.get(str(number))
        value, size = torch.stack((loss, norm.double())).tolist()
        if not math.isfinite(value + size):
            raise FloatingPointError(f"the loss is {value}, the norm of its gradient {size}")
        if self._max_norm is not None:
            clip_grads_with_norm_(self._parameters, self._max_norm, norm)
        self._stopwatch.lap("backward")
        return float(value)


def _loss(
    parameters: Sequence[Tensor], weights: Weights, stopwatch: Stopwatch, predict: Predict, batch: Data
) -> Fields:
    predicted = predict(batch)
    stopwatch.lap("forward")
    loss = weighted_loss(predicted, batch, weights)
    for parameter in parameters:
        parameter.grad = None
    stopwatch.lap("rest")
    # only what the optimiser moves: the gradient with respect to the positions would cost as much again
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    gradients = {str(n): p.grad for n, p in enumerate(parameters) if p.grad is not None}
    return {"loss": loss.detach(), "norm": get_total_norm(list(gradients.values())), **gradients}


def train_epoch(
    training: Training,
    dataset: MoleculeDataset,
    frames: Tensor,
    trainer: Trainer,
    gradients: Gradients,
    rate: Callable[[int], float],
    on_step: Callable[[int], None],
    stopwatch: Stopwatch = UNTIMED,
) -> float:
    """Take one optimiser step for each batch, beginning after those that were taken already.

    Args:
        training: its progress is counted on with each step, so that it can be saved after any.
        dataset: all frames.
        frames: (n,) those of the epoch, in the order in which they are taken.
        trainer: the protocol.
        gradients: of the potential that is trained.
        rate: learning rate of each step of the training, counted from 0.
        on_step: told after each step how many were taken since the training began.
        stopwatch: told of each part of a step when it is over.

    Returns:
        The mean loss over all frames.

    Raises:
        TrainingError: the loss or a gradient is not finite; the step was not taken.
    """
    potential, optimizer, progress = training.potential, training.optimizer, training.progress
    potential.train()
    device = potential.device
    remaining = frames[progress.step * trainer.batch_size :]
    batches = dataset.batches(remaining, trainer.batch_size)
    for batch in batches:
        numbers = frames[progress.step * trainer.batch_size :][: batch.num_graphs]
        batch = batch.to(device)
        stopwatch.lap("data")
        try:
            loss = gradients(batch)
        except FloatingPointError as error:
            raise TrainingError(
                f"epoch {progress.epoch}, step {progress.step + 1}: {error}. The step was not taken, and the weights "
                f"are as they were before it. {describe_batch(numbers, batch)} Look at these frames, choose a smaller "
                "learning_rate, or set max_norm."
            ) from error
        with deferred():
            for group in optimizer.param_groups:
                group["lr"] = rate(progress.taken)
            optimizer.step()
            progress.step += 1
            progress.loss += loss * len(numbers)
            training.remember_random_state()
        stopwatch.lap("optimiser")
        on_step(progress.taken)
        stopwatch.lap("rest")
    return progress.loss / len(frames)


def describe_batch(frames: Tensor, batch: Batch) -> str:
    """Say which frames are in a batch, which has the largest force, and which the shortest distance."""
    graph, numbers = batch.batch.cpu(), frames.tolist()
    text = f"Its frames are {', '.join(map(str, numbers))}."
    if "Fa" in batch:
        force = batch.Fa.norm(dim=1).cpu()
        atom = int(force.argmax())
        text += f" The largest force in the data is {float(force[atom]):.6g}, in frame {numbers[graph[atom]]}."
    if batch.edge_index.shape[1]:
        distances = pair_distances(batch.Ra, batch.edge_index).cpu()
        edge = int(distances.argmin())
        frame = numbers[graph[batch.edge_index[0, edge].cpu()]]
        text += f" The shortest distance is {float(distances[edge]):.6g}, in frame {frame}."
    return text
