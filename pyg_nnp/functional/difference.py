"""Predicted minus true values, which labels there are, and how much each frame's count."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from pyg_nnp.errors import FieldError
from pyg_nnp.fields import FIELDS


class HasFields(Protocol):
    """Has tensors by name, as a batch or a dict."""

    def __getitem__(self, name: str, /) -> Tensor: ...

    def __contains__(self, name: str, /) -> bool: ...


def difference(predicted: Mapping[str, Tensor], data: HasFields, name: str) -> Tensor:
    """Return predicted minus true values of a field; shapes that would broadcast are an error."""
    if name not in predicted:
        raise FieldError(f"the potential does not predict '{name}'. It predicts: {', '.join(sorted(predicted))}.")
    ours, theirs = predicted[name], data[name]
    if ours.shape != theirs.shape:
        raise FieldError(f"'{name}' is predicted with shape {tuple(ours.shape)}, the data has {tuple(theirs.shape)}.")
    return ours - theirs


def labelled_difference(predicted: Mapping[str, Tensor], data: HasFields, name: str) -> tuple[Tensor, Tensor]:
    """Return predicted minus true values of a field, 0 where the label is missing (NaN), and whether it is there.

    Both have the shape of the field; shapes that would broadcast are an error.
    """
    values = difference(predicted, data, name)
    present = ~torch.isnan(data[name])
    return torch.where(present, values, 0.0), present


def per_atom(values: Tensor, data: HasFields) -> Tensor:
    """Return numbers of molecules, (G, ...), divided by their numbers of atoms."""
    return values / data["N"].to(values.dtype).view(-1, *(1,) * (values.dim() - 1))  # (G, ...) / (G, 1...)


def frame_weights(data: HasFields, name: str) -> Tensor:
    """Return the weight of each row's frame, in a shape that broadcasts to the field: (G, 1...) or (A, 1...)."""
    values, weight, N = data[name], data["weight"], data["N"]
    if FIELDS[name].level == "atom":
        # a recorded step sees no ``batch``; with the number of rows given nothing waits for the device
        weight = weight.repeat_interleave(N, output_size=len(values))  # (A,)
    return weight.view(-1, *(1,) * (values.dim() - 1))  # (G, 1...) or (A, 1...)
