"""One optimiser step: the gradients of a batch, and the update of the parameters."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch_geometric.data import Batch, Data

from pyg_nnp.config import Weights, any_changes
from pyg_nnp.errors import TrainingError
from pyg_nnp.functional.geometry import edge_distances
from pyg_nnp.layers.base import Fields
from pyg_nnp.potential.cuda_graphs import CudaGraphs, Predict
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.training.loss import weighted_loss
from pyg_nnp.training.state import TrainingState

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

# called with the name of a part of a step when the part is over
Lap = Callable[[str], None]


class Gradients:
    """The gradients of the loss of a batch.

    Args:
        potential: in training mode when it is called.
        parameters: those that are to be moved.
        weights: of the loss.
        max_norm: the largest norm of all gradients together, which larger ones are scaled down to.
        lap: called at the end of each part of a step; None: the parts are not told apart.
        mean_weights: of the labels of the training part, for :func:`pyg_nnp.training.loss.weighted_loss`.
        progress: returns the fraction of the training that is over; called where weights change.
    """

    def __init__(
        self,
        potential: Potential,
        parameters: Iterable[Tensor],
        weights: Weights,
        max_norm: float | None = None,
        lap: Lap | None = None,
        mean_weights: Mapping[str, float] | None = None,
        progress: Callable[[], float] = float,
    ) -> None:
        self._parameters, self._max_norm, self._lap = list(parameters), max_norm, lap or (lambda part: None)
        self._progress = progress if any_changes(weights) else None
        # no method, so that recordings go, with their memory, when this object does
        loss = partial(_loss, self._parameters, (weights, mean_weights or {}), self._lap)
        # a recording has no parts, and does not wait for other processes
        recorded = lap is None and processes.count() == 1
        self._compute = CudaGraphs(potential, loss, copies=False) if recorded else partial(loss, potential)

    def __call__(self, batch: Batch) -> float:
        """Let each parameter have its gradient of the loss of a batch, and return the loss.

        Of several processes each has its share of the batch, or, where it is to have none, any frames and ``is_spare``.
        All get the loss and the gradients of the whole batch. Where weights change, the batch gets ``progress``, ().

        Raises:
            FloatingPointError: the loss, or the norm of the gradients, is not finite.
        """
        if self._progress is not None:
            # an input of recordings, as the labels are
            batch.progress = torch.tensor(self._progress(), dtype=torch.float64, device=batch.Ra.device)
        found = self._compute(batch)
        loss, norm = found["loss"], found["norm"]
        for number, parameter in enumerate(self._parameters):
            parameter.grad = found.get(str(number))
        value, size = torch.stack((loss, norm.double())).tolist()
        if not math.isfinite(value + size):
            raise FloatingPointError(f"the loss is {value}, the norm of its gradient {size}")
        if self._max_norm is not None:
            clip_grads_with_norm_(self._parameters, self._max_norm, norm)
        self._lap("backward")
        return float(value)


def _loss(
    parameters: Sequence[Tensor],
    weights: tuple[Weights, Mapping[str, float]],
    lap: Lap,
    predict: Predict,
    batch: Data,
) -> Fields:
    predicted = predict(batch)
    lap("forward")
    total = partial(_total, "is_spare" not in batch) if processes.count() > 1 else None
    loss = weighted_loss(predicted, batch, *weights, total)
    for parameter in parameters:
        parameter.grad = None
    lap("rest")
    # only what the optimiser moves: the gradient with respect to the positions would cost as much again
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    gradients = {str(n): grad for n, grad in enumerate(_summed(parameters)) if grad is not None}
    return {"loss": loss.detach(), "norm": get_total_norm(list(gradients.values())), **gradients}


def _total(counts: bool, sums: Tensor) -> Tensor:
    """Return sums over all processes, of which some may have frames that do not count."""
    return processes.differentiable_total(sums if counts else sums * 0.0)


def _summed(parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradients of parameters, added up over all processes; None where no process has one."""
    gradients = [parameter.grad for parameter in parameters]
    if processes.count() == 1:
        return gradients
    there = torch.tensor([grad is not None for grad in gradients]).to(parameters[0])
    pairs = zip(parameters, gradients, strict=True)
    flat = [(torch.zeros_like(parameter) if grad is None else grad).flatten() for parameter, grad in pairs]
    # all at once
    *sums, there = torch.split(processes.total(torch.cat([*flat, there])), [*map(len, flat), len(flat)])
    found = zip(parameters, sums, there.tolist(), strict=True)
    return [grad.view_as(p).to(p.dtype) if number else None for p, grad, number in found]


def take_step(
    state: TrainingState,
    gradients: Gradients,
    frames: Tensor,
    batch: Batch,
    learning_rate: Callable[[int], float],
    dataset: "MoleculeDataset",
) -> None:
    """Take one optimiser step; a signal comes before or after it.

    Args:
        state: moves to the next step.
        gradients: of its potential.
        frames: (G,) numbers of the frames in the data set.
        batch: these frames, on the device of the potential; of several processes the share of this one.
        learning_rate: as a function of the global step.
        dataset: that the frames are from.

    Raises:
        TrainingError: the loss or a gradient is not finite; the step was not taken.
    """
    try:
        loss = gradients(batch)
    except FloatingPointError as error:
        batch = batch if processes.count() == 1 else dataset.batch(frames)
        raise TrainingError(
            f"epoch {state.epoch}, step {state.step + 1}: {error}. The step was not taken, and the weights "
            f"are as they were before it. {_description(frames, dataset.source.frame, batch)} Look at these frames, "
            "choose a smaller learning_rate, or set max_norm."
        ) from error
    with deferred():
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(state.global_step)
        state.optimizer.step()
        state.end_step(loss, len(frames))


def _description(frames: Tensor, name: Callable[[int], str], batch: Batch) -> str:
    """Say which frames are in a batch, which has the largest force, and which the shortest distance."""
    graph, names = batch.batch.cpu(), [name(number) for number in frames.tolist()]
    text = f"Its frames are {', '.join(names)}."
    if "Fa" in batch:
        # a label that is missing is not the largest
        force = batch.Fa.norm(dim=1).nan_to_num(-1.0).cpu()
        atom = int(force.argmax())
        text += f" The largest force in the data is {float(force[atom]):.6g}, in frame {names[graph[atom]]}."
    if batch.edge_index.shape[1]:
        distances = edge_distances(batch).cpu()
        edge = int(distances.argmin())
        frame = names[graph[batch.edge_index[0, edge].cpu()]]
        text += f" The shortest distance is {float(distances[edge]):.6g}, in frame {frame}."
    return text
