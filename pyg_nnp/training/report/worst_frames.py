"""The frames that a potential predicts worst, and the errors by which they are chosen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.data.labels import has_labels
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.difference import labelled_difference
from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.report.types import Array, Frame

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def worst_frames(
    potential: Potential, dataset: "MoleculeDataset", frames: Tensor, fields: Sequence[str]
) -> list[Frame]:
    """Return some frames with the errors of their fields and atoms, in this order."""
    batch = dataset.batch(frames).to(potential.device)
    predicted = potential(batch)
    errors = {name: frame_errors(predicted, batch, name).tolist() for name in fields}
    has = {name: has_labels(dataset.summary, name)[frames.numpy()] for name in fields}
    force_errors = _numpy(labelled_difference(predicted, batch, "Fa")[0].norm(dim=1)) if "Fa" in fields else None
    Za, Ra, ptr = batch.Za.cpu().numpy(), _numpy(batch.Ra), batch.ptr.tolist()
    cells = _numpy(batch.cell * batch.pbc[:, :, None]) if "cell" in batch else [None] * len(frames)
    return [
        Frame(
            int(index),
            dataset.source.frame(int(index)),
            Za[first:end],
            Ra[first:end],
            {name: values[number] for name, values in errors.items() if has[name][number]},
            None if force_errors is None else force_errors[first:end],
            cells[number] if np.any(cells[number]) else None,
        )
        for number, (index, first, end) in enumerate(zip(frames, ptr[:-1], ptr[1:], strict=True))
    ]


def frame_errors(predicted: Mapping[str, Tensor], batch: Batch, name: str) -> Tensor:
    """Return (G,) root mean squares of a field's errors, predicted minus true energy for ``E``; NaN without labels."""
    error, present = labelled_difference(predicted, batch, name)
    if name == "E":
        return torch.where(present, error.double(), torch.nan)
    squares, counts = (rows.double().reshape(len(rows), -1).sum(dim=1) for rows in (error.double().square(), present))
    if FIELDS[name].level == "atom":
        squares, counts = (sum_over_atoms(rows, batch.batch, len(batch.N)) for rows in (squares, counts))
    return (squares / counts).sqrt()


def _numpy(values: Tensor) -> Array:
    result: Array = values.detach().double().cpu().numpy()
    return result
