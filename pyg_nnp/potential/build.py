"""From the configuration of a model to its layers."""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from pyg_nnp.config import Config
from pyg_nnp.config.messages import plain_words
from pyg_nnp.errors import ConfigError, FieldError, did_you_mean
from pyg_nnp.fields import FIELDS
from pyg_nnp.layers.base import Core, Layer
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.layers.registry import CORES, LAYERS, resolve_class
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import check_wiring
from pyg_nnp.units import OPTIONS as UNITS


def build_potential(config: Config, name: str) -> Potential:
    """Build the potential ``name`` of ``Modelhub.internal_FFs``, with parameters drawn from ``Trainer.seed``.

    Raises:
        ConfigError: there is no such model, or something in it is not right.
        FieldError: its layers do not fit together.
    """
    models = config.Modelhub.internal_FFs
    if name not in models:
        raise ConfigError(f"{config.source}: Modelhub has no model '{name}'. It has: {', '.join(models)}.")
    model = models[name]
    place = f"{config.source}: Modelhub.{name}"
    entries = [(entry.name, entry.params) for entry in model.layers]
    generator = torch.Generator().manual_seed(config.Trainer.seed)
    try:
        _check_units(model.build_params)
        layers, built = build_layers(model.architecture, model.build_params, entries, generator)
    except (ConfigError, FieldError) as error:
        raise type(error)(f"{place}.{error}") from error
    spec = {"name": name, "architecture": model.architecture, "build_params": model.build_params, "layers": built}
    potential = Potential(layers, spec).to(getattr(torch, config.Trainer.dtype))
    _check_predicted(potential, model.loss, f"{place}.loss")
    _check_predicted(potential, config.Metrics, f"{config.source}: Metrics")
    return potential


def _check_units(build_params: Mapping[str, Any]) -> None:
    for name in UNITS:
        value = build_params.get(name, 1.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigError(f"build_params.{name}: expects a number greater than 0, found {value!r}.")


def _check_predicted(potential: Potential, weights: Mapping[str, Collection[str]], where: str) -> None:
    for kind, fields in weights.items():
        for name in fields:
            if name not in potential.outputs:
                writers = [label for label, layer in LAYERS.items() if name in layer.writes]
                raise ConfigError(
                    f"{where}.{kind}.{name}: this model does not predict '{name}', only "
                    f"{', '.join(potential.outputs)}. Remove it"
                    + (f", or add the layer {writers[-1]}." if writers else ".")
                )


def options_of(layer_class: type[Layer]) -> type[BaseModel]:
    """Return a schema of the options of a layer: the parameters of its constructor."""
    definitions: dict[str, Any] = {}
    for name, parameter in inspect.signature(layer_class, eval_str=True).parameters.items():
        if name != "generator":
            kind = Any if parameter.annotation is parameter.empty else parameter.annotation
            definitions[name] = kind, ... if parameter.default is parameter.empty else parameter.default
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    return create_model(layer_class.__name__, __config__=config, **definitions)


def build_layers(
    architecture: str,
    build_params: Mapping[str, Any],
    entries: Sequence[tuple[str, Mapping[str, Any]]],
    generator: torch.Generator | None = None,
    may_import: bool = True,
) -> tuple[list[Layer], list[dict[str, Any]]]:
    """Build the layers of a potential, with initial parameters from ``generator``.

    ``entries`` are name and own options of each layer, where the name ``Core`` stands for the architecture, a name or
    ``package.module:Class``; ``build_params`` are options for every layer that takes them. For ``may_import`` see
    :func:`pyg_nnp.layers.registry.resolve_class`.

    Returns:
        The layers, and name and all options of each: what builds them again.

    Raises:
        ConfigError: an unknown name or option, an option that is missing or not of its type.
        FieldError: the layers do not fit together.
    """
    classes = list(_classes(architecture, entries, may_import))
    for prepended in dict.fromkeys(p for layer_class, *_ in classes for p in layer_class.prepends):
        if not any(issubclass(layer_class, prepended) for layer_class, *_ in classes):
            classes.insert(0, (prepended, prepended.__name__, {}, "layers (in front)"))
    _check_taken(build_params, [layer_class for layer_class, *_ in classes])
    # one layer writes them and another adds them up
    dipoles = sum("atomic_dipoles" in inspect.signature(layer_class).parameters for layer_class, *_ in classes) > 1
    layers: list[Layer] = []
    built: list[dict[str, Any]] = []
    for layer_class, name, own, where in classes:
        taken = inspect.signature(layer_class).parameters
        given = {key: value for key, value in build_params.items() if key in taken} | dict(own)
        if issubclass(layer_class, EnergyReduce) and given.get("terms") is None:
            given["terms"] = list(dict.fromkeys(term for layer in layers for term in layer.energy_terms))
            if not given["terms"]:
                raise ConfigError(
                    "layers: EnergyReduce stands before any layer that writes an energy term. Move it behind them."
                )
        if "atomic_dipoles" in taken and given.get("atomic_dipoles") is None:
            given["atomic_dipoles"] = dipoles
        options = _checked(layer_class, name, given, own, where)
        extra = {"generator": generator} if "generator" in taken else {}
        layers.append(_built(layer_class, {**options, **extra}, name, where))
        built.append({"name": name, "params": options})
    places = [where for *_, where in classes]
    check_wiring(layers, places)
    _check_energy_terms(layers, places)
    return layers, built


def _built(layer_class: type[Layer], options: Mapping[str, Any], name: str, where: str) -> Layer:
    try:
        return layer_class(**options)
    except ConfigError as error:
        raise ConfigError(f"{where}.params: {name}: {error}") from error
    except RuntimeError as error:
        if not layer_class.__module__.startswith("pyg_nnp."):
            raise
        raise ConfigError(f"{where}: {name} cannot be built: {error}. Choose smaller sizes.") from error


def _classes(
    architecture: str, entries: Sequence[tuple[str, Mapping[str, Any]]], may_import: bool
) -> Iterator[tuple[type[Layer], str, Mapping[str, Any], str]]:
    place = "architecture"
    try:
        core = resolve_class(architecture, CORES, Core, may_import=may_import)
        for number, (name, own) in enumerate(entries):
            place = f"layers[{number}].name"
            known = {**LAYERS, "Core": core}
            yield resolve_class(name, known, Layer, may_import=may_import), name, own, f"layers[{number}]"
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    if sum(name == "Core" for name, _ in entries) != 1:
        raise ConfigError("layers: exactly one entry must be 'name: Core', where the architecture has its place.")


def _check_taken(build_params: Mapping[str, Any], classes: Sequence[type[Layer]]) -> None:
    taken = {name: None for c in classes for name in inspect.signature(c).parameters if name != "generator"}
    taken |= dict.fromkeys(UNITS)  # the potential's own: they say what the numbers mean
    for name in build_params:
        if name not in taken:
            raise ConfigError(
                f"build_params: no layer of this model takes '{name}'.{did_you_mean(name, taken)} "
                f"They take: {', '.join(taken)}."
            )


def _checked(
    layer_class: type[Layer], name: str, given: Mapping[str, Any], own: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Return all options of a layer, checked, defaults included."""
    schema = options_of(layer_class)
    label = name if name != "Core" else layer_class.__name__
    for key in own:
        if key not in schema.model_fields:
            raise ConfigError(
                f"{where}.params: {label} has no option '{key}'.{did_you_mean(key, schema.model_fields)} "
                f"It takes: {', '.join(schema.model_fields) or 'none'}."
            )
    try:
        checked = schema.model_validate(dict(given))
    except ValidationError as error:
        problem = error.errors()[0]
        key = str(problem["loc"][0])
        if problem["type"] == "missing":
            raise ConfigError(
                f"{where}: {label} needs '{key}', which is neither in its params nor in build_params. Give it in one."
            ) from error
        place = f"{where}.params.{key}" if key in own else f"build_params.{key}"
        words = plain_words(problem)
        raise ConfigError(f"{place}: {label} {words}{'' if words.endswith('?') else '.'}") from error
    return {key: getattr(checked, key) for key in schema.model_fields}


def _check_energy_terms(layers: Sequence[Layer], places: Sequence[str]) -> None:
    """Refuse terms that are no energies of atoms, and energies that come too late to be summed."""
    reduced: set[str] = set()
    for layer, place in zip(layers, places, strict=True):
        if isinstance(layer, EnergyReduce):
            reduced |= set(layer.reads)
            for term in set(layer.reads) - {"N", "batch"}:
                if term in FIELDS and (FIELDS[term].level, FIELDS[term].unit) != ("atom", "energy"):
                    raise ConfigError(
                        f"{place}.params.terms: '{term}' is no energy of atoms but: {FIELDS[term].meaning}. "
                        "Leave terms out to sum all energy terms."
                    )
        elif reduced and layer.energy_terms:
            raise FieldError(
                f"{place} ({type(layer).__name__}) writes the energy term '{layer.energy_terms[0]}' after EnergyReduce "
                "has summed them. Move it before EnergyReduce."
            )
