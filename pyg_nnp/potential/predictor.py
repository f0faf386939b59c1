"""The interface of whatever predicts, and the one way to run it over many batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch_geometric.data import Data

from pyg_nnp.layers.base import Fields
from pyg_nnp.potential.cuda_graphs import CudaGraphs, Predict
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes
from pyg_nnp.units import Units

# enough to keep all processors busy, in the memory of a training step of 0.4 times as many (benchmarks/steps.py)
ATOMS_TO_EVALUATE = 8192


class Predictor(Protocol):
    """The part of a potential that commands, calculator, simulations and reports use.

    A :class:`pyg_nnp.potential.potential.Potential` is one; an ensemble of them would be another.
    """

    @property
    def domain(self) -> TrainingDomain:
        """The molecules that it was trained on."""

    @property
    def reach(self) -> float:
        """Distance beyond which no pair matters [length]; infinite where all pairs do."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the predicted fields."""

    @property
    def units(self) -> Units:
        """The units of the training data, as far as they are known."""

    @property
    def configuration(self) -> Mapping[str, Any] | None:
        """The configuration of its training as nested dicts; None where it is not known."""

    @property
    def device(self) -> torch.device:
        """Where it evaluates."""

    @property
    def dtype(self) -> torch.dtype:
        """The precision of all predictions but the total energy."""

    def __call__(self, data: Data, /) -> Fields:
        """Return the predicted fields of a batch on :attr:`device`."""


def large_batch(max_atoms: int, at_least: int = 1) -> int:
    """Return how many molecules of up to ``max_atoms`` atoms to evaluate at once; ``at_least`` fit into memory."""
    return max(at_least, ATOMS_TO_EVALUATE // max_atoms)


def recorded(predictor: Predictor) -> Predict:
    """Return a function that predicts as ``predictor``, in evaluation mode, with CUDA graphs where they can be used."""
    return CudaGraphs(predictor) if isinstance(predictor, Potential) else predictor


def predictions(
    predictor: Predictor, batches: Iterable[Data], *, cuda_graphs: bool = True
) -> Iterator[tuple[Data, Fields]]:
    """Yield each batch on the device of a predictor in evaluation mode, with the predicted fields.

    Several processes take turns to predict, and all of them get everything.

    ``cuda_graphs``: whether shapes that come up again are recorded; not worth it for parameters that change soon.
    """
    predict = recorded(predictor) if cuda_graphs else predictor
    device = predictor.device
    for batch, predicted in processes.in_turn((batch.to(device) for batch in batches), partial(_on_cpu, predict)):
        yield batch, {name: value.to(device) for name, value in predicted.items()}


def _on_cpu(predict: Predict, batch: Data) -> Fields:
    """Return what is predicted, on the CPU if it is for other processes, too."""
    predicted = predict(batch)
    return predicted if processes.count() == 1 else {name: value.detach().cpu() for name, value in predicted.items()}
