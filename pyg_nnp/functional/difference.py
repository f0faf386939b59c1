"""Predicted minus true values."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from pyg_nnp.errors import FieldError


class HasFields(Protocol):
    """Has tensors by name, as a batch or a dict."""

    def __getitem__(self, name: str, /) -> Tensor: ...


def difference(predicted: Mapping[str, Tensor], data: HasFields, name: str) -> Tensor:
    """Return predicted minus true values of a field; shapes that would broadcast are an error."""
    if name not in predicted:
        raise FieldError(f"the potential does not predict '{name}'. It predicts: {', '.join(sorted(predicted))}.")
    ours, theirs = predicted[name], data[name]
    if ours.shape != theirs.shape:
        raise FieldError(f"'{name}' is predicted with shape {tuple(ours.shape)}, the data has {tuple(theirs.shape)}.")
    return ours - theirs
