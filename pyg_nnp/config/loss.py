"""Losses and metrics: kinds of errors, their fields and weights."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from pyg_nnp.config.section import problem
from pyg_nnp.errors import did_you_mean
from pyg_nnp.fields import FIELDS

PER_ATOM = "_per_atom"
"""End of the kinds of errors that are divided by the number of atoms."""
_DIVIDED = ("rmse", "mae", "mse", "huber_DELTA")
_KNOWN = (*_DIVIDED, "l2norm", *(kind + PER_ATOM for kind in _DIVIDED))


def delta_of(kind: str) -> float | None:
    """Return the delta of the Huber loss that a kind of error is, as ``huber_0.01``; None for other kinds."""
    found = re.fullmatch(rf"huber_(\d+(?:\.\d*)?(?:e[-+]?\d+)?)(?:{PER_ATOM})?", kind)
    return float(found[1]) or None if found else None


def _is_loss(kind: Any) -> bool:
    return isinstance(kind, str) and (kind in _KNOWN or delta_of(kind) is not None) and "DELTA" not in kind


def _by_function(value: Any) -> Any:
    """Turn ``E: {rmse: 1}`` into ``rmse: {E: 1}``."""
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, terms in value.items():
        if key in FIELDS and not isinstance(terms, dict):
            raise problem(f"a weight stands under a function; write 'rmse: {{{key}: 1}}'", key)
        if not isinstance(terms, dict):
            result[key] = terms
            continue
        by_field = not _is_loss(key) and (key in FIELDS or any(_is_loss(function) for function in terms))
        if not by_field:
            result.setdefault(key, {})
        for inner, weight in terms.items():
            function, name = (inner, key) if by_field else (key, inner)
            if name in result.setdefault(function, {}):
                raise problem(f"the weight of '{name}' is given twice", function, name)
            result[function][name] = weight
    return result


def _check_function(name: str, functions: tuple[str, ...] = _KNOWN) -> str:
    if name not in functions:
        raise problem(f"unknown function.{did_you_mean(name, functions)} There are: {', '.join(functions)}")
    return name


def _check_loss(name: str) -> str:
    if _is_loss(name):
        return name
    if name.startswith("huber"):
        raise problem("the Huber loss has a delta in its name, in the unit of the field, such as huber_0.01")
    return _check_function(name)


def _check_metric(name: str) -> str:
    return _check_function(name, ("rmse", "mae"))


def _check_kinds(loss: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Check that the kinds of errors are those of numbers, or vectors, that the fields are."""
    for kind, terms in loss.items():
        for name in (name for name in terms if name in FIELDS):
            if kind.endswith(PER_ATOM) and FIELDS[name].level != "graph":
                raise problem(f"'{name}' has a value for each atom already; put it under another function", kind, name)
            if kind == "l2norm" and not FIELDS[name].shape:
                raise problem(f"'{name}' is no vector; put it under 'mae'", kind, name)
    return loss


def _check_weights(weights: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if not any(terms for terms in weights.values()):
        raise problem("at least one term is needed, such as 'rmse: {E: 1}'")
    if not any(is_used(weight) for terms in weights.values() for weight in terms.values()):
        raise problem("all weights are 0; at least one must be greater")
    return weights


def _check_change(change: dict[str, float]) -> dict[str, float]:
    if len(change) < 2:
        raise problem("a weight that changes has two values, such as {from: 1, to: 0.1}")
    return change


Constant = Annotated[float, Field(ge=0)]
Change = Annotated[dict[Literal["from", "to"], Constant], AfterValidator(_check_change)]
WEIGHT_MARKS = _NUMBER, _CHANGE = "[number]", "[change]"
"""Of the two forms of a weight, in the places of pydantic's messages."""
_LossWeight = Annotated[
    Annotated[Constant, Tag(_NUMBER)] | Annotated[Change, Tag(_CHANGE)],
    Discriminator(lambda value: _CHANGE if isinstance(value, dict) else _NUMBER),
]
Loss = Annotated[
    dict[Annotated[str, AfterValidator(_check_loss)], dict[str, _LossWeight]],
    BeforeValidator(_by_function),
    AfterValidator(_check_kinds),
    AfterValidator(_check_weights),
]
MetricWeights = Annotated[
    dict[Annotated[str, AfterValidator(_check_metric)], dict[str, Constant]],
    BeforeValidator(_by_function),
    AfterValidator(_check_weights),
]

# a number, or the numbers that it goes "from" and "to"
Weight: TypeAlias = float | Mapping[Any, float]
# kind of error -> field -> weight, of a loss or of metrics
Weights: TypeAlias = Mapping[Any, Mapping[str, Weight]]


def fields_of(weights: Weights) -> list[str]:
    """Return the fields that ever have a weight greater than 0."""
    return list(dict.fromkeys(name for terms in weights.values() for name, weight in terms.items() if is_used(weight)))


def is_used(weight: Weight) -> bool:
    """Say whether a weight is ever greater than 0."""
    return max(weight.values()) > 0 if isinstance(weight, Mapping) else weight > 0


def any_changes(weights: Weights) -> bool:
    """Say whether any of the weights changes during a training."""
    return any(isinstance(weight, Mapping) for terms in weights.values() for weight in terms.values())


def weight_at(weight: Weight, progress: Any) -> Any:
    """Return a weight when a fraction of the training, a number or a tensor, is over; a constant one as it is."""
    return (1 - progress) * weight["from"] + progress * weight["to"] if isinstance(weight, Mapping) else weight
