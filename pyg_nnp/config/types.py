"""Types of values in the configuration that take more than a type to check."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pyg_nnp.config.messages import problem, shown
from pyg_nnp.errors import did_you_mean
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS


def _source_names(value: Any) -> Any:
    """Fill in empty names: the data set's own name is the standard one."""
    if not isinstance(value, dict):
        return value
    return {key: key if source in (None, "") else source for key, source in value.items()}


def _check_standard_names(names: dict[str, str], allowed: tuple[str, ...], other: str) -> dict[str, str]:
    for key, source in names.items():
        if key in allowed:
            continue
        if key in (*FEATURES, *TARGETS):
            raise problem(f"'{key}' is one of the {other}; move it to Datahub.{other}", key)
        if source in allowed:
            raise problem(f"the standard name comes first; write '{source}: {key}'", key)
        alias = next((f" Did you mean '{name}: {source}'?" for name in allowed if key in FIELDS[name].aliases), "")
        known = ", ".join(f"{name} ({FIELDS[name].meaning.partition(';')[0]})" for name in allowed)
        raise problem(f"unknown standard name.{alias or did_you_mean(key, allowed)} There are: {known}", key)
    return names


def check_features(names: dict[str, str]) -> dict[str, str]:
    """Check the standard names of inputs."""
    _check_standard_names(names, FEATURES, "targets")
    for required in ("Ra", "Za"):
        if required not in names:
            meaning = FIELDS[required].meaning
            raise problem(f"'{required}' is missing; write '{required}: ' and the name of the {meaning} in the data")
    return names


def check_targets(names: dict[str, str]) -> dict[str, str]:
    """Check the standard names of labels."""
    if not names:
        raise problem(f"at least one target is needed, of {', '.join(TARGETS)}")
    return _check_standard_names(names, TARGETS, "features")


def _by_function(value: Any) -> Any:
    """Turn ``E: {rmse: 1}`` into ``rmse: {E: 1}``."""
    if not isinstance(value, dict):
        return value
    functions = ("rmse", "mae", "mse")
    result: dict[str, Any] = {}
    for key, terms in value.items():
        if key in FIELDS and not isinstance(terms, dict):
            raise problem(f"a weight stands under a function; write 'rmse: {{{key}: 1}}'", key)
        if not isinstance(terms, dict):
            result[key] = terms
            continue
        by_field = key not in functions and (key in FIELDS or any(function in terms for function in functions))
        if not by_field:
            result.setdefault(key, {})
        for inner, weight in terms.items():
            function, name = (inner, key) if by_field else (key, inner)
            if name in result.setdefault(function, {}):
                raise problem(f"the weight of '{name}' is given twice", function, name)
            result[function][name] = weight
    return result


def _check_weights(weights: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    if not any(terms for terms in weights.values()):
        raise problem("at least one term is needed, such as 'rmse: {E: 1}'")
    if not any(weight > 0 for terms in weights.values() for weight in terms.values()):
        raise problem("all weights are 0; at least one must be greater")
    return weights


def _one_of(*functions: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in functions:
            raise problem(f"unknown function.{did_you_mean(name, functions)} There are: {', '.join(functions)}")
        return name

    return AfterValidator(check)


def _check_ratio(value: Any) -> Any:
    """Check one ratio; -1 becomes None."""
    if value is None or (type(value) is int and value == -1):
        return None
    if type(value) not in (int, float):
        raise problem(f"expects a share, a count, or null, found {shown(value)}")
    if not math.isfinite(value) or value <= 0:
        raise problem(f"expects a share or a count greater than 0, found {shown(value)}; leave a part of 0 out")
    return value


# kind of error -> field -> weight, of a loss or of metrics
Weights = Mapping[Any, Mapping[str, float]]

SourceNames = BeforeValidator(_source_names)
Text = Annotated[str, Field(min_length=1)]
Weight = Annotated[float, Field(ge=0)]
Loss = Annotated[
    dict[Annotated[str, _one_of("rmse", "mae", "mse")], dict[str, Weight]],
    BeforeValidator(_by_function),
    AfterValidator(_check_weights),
]
MetricWeights = Annotated[
    dict[Annotated[str, _one_of("rmse", "mae")], dict[str, Weight]],
    BeforeValidator(_by_function),
    AfterValidator(_check_weights),
]
Ratio = Annotated[float | int | None, BeforeValidator(_check_ratio)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Options = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Precision = Annotated[
    Literal["float32", "float64"],
    BeforeValidator(lambda value: {"single": "float32", "double": "float64"}.get(str(value), value)),
]
