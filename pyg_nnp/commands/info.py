"""What is in a model, a data file or a store: ``pyg-nnp info``."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS
from pyg_nnp.potential.description import BEST, LAST, TrainingDomain, damaged, read_description
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.units import Units

_SHOWN = 10
_FRAMES = 1000  # of a data file, whose names are shown


def describe(path: Path) -> str:
    """Return what is in a model, a data file or a store, as text; a model or store is its folder or a file in it.

    Raises:
        DataError: it is none of these, or damaged.
    """
    if (path / BEST).is_file():
        return _model(path / BEST)
    if path.suffix == ".safetensors" and not path.is_dir():
        return _model(path)
    # PyTorch Geometric, which takes seconds to import, is needed for data alone
    from pyg_nnp.data.store.layout import FILE_NAME

    if path.is_dir() and not (path / FILE_NAME).exists():
        models = sorted(place.parent.name for name in (BEST, LAST) for place in path.glob(f"*/{name}"))
        stores = sorted(place.parent.name for place in path.glob(f"*/{FILE_NAME}"))
        found = ", ".join(dict.fromkeys(models + stores))
        if not found and _has_data(path):
            return "\n".join(_data(path))
        raise DataError(
            f"{path}: there is neither a model nor a store in this folder."
            + (f" In it are: {found}. Name one of these." if found else " Name one of a training, or a data file.")
        )
    if path.name == FILE_NAME and path.parent.name.startswith("processed_dataset_"):
        path = path.parent
    return "\n".join(_store(path) if path.is_dir() else _data(path))


def _model(path: Path) -> str:
    description = read_description(path)
    if "outputs" not in description:
        description |= _derived(path)
    elif "blind_to_charge" not in description and len(description.get("charges") or ()) > 1:
        description |= _blind_to_charge(path)
    try:
        return "\n".join(_lines_of_model(path, description))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def _derived(path: Path) -> dict[str, Any]:
    """Return outputs and number of parameters of a model whose description lacks them, as older versions wrote it."""
    from pyg_nnp.potential.checkpoint import load_potential

    potential = load_potential(path)
    return {"outputs": potential.outputs, "num_parameters": sum(p.numel() for p in potential.parameters())}


def _blind_to_charge(path: Path) -> dict[str, Any]:
    """Return what older versions did not write; nothing where a layer is a class that is not imported."""
    from pyg_nnp.potential.checkpoint import load_potential

    try:
        return {"blind_to_charge": load_potential(path).domain.blind_to_charge}
    except ConfigError:
        return {}


def _lines_of_model(path: Path, spec: Mapping[str, Any]) -> Iterator[str]:
    domain, units = TrainingDomain.from_json(spec), Units.of(spec.get("build_params", {}))
    yield f"{path}: {spec['architecture']} with {spec['num_parameters']} parameters, {spec['dtype']}"
    yield f"  saved by pyg_nnp {spec['version']} after epoch {spec.get('epoch')}, validation score {spec.get('score')}"
    if domain.elements:
        yield f"  trained on {', '.join(chemical_symbols[Z] for Z in domain.elements)}, " + (
            f"total charges {', '.join(f'{Q:g}' for Q in domain.charges)}{domain.charges_without_effect}"
        )
    if compositions := domain.compositions:
        of = f" and {len(compositions) - _SHOWN} more" if len(compositions) > _SHOWN else ""
        yield f"  compositions: {', '.join(compositions[:_SHOWN])}{of}"
    if units.hartree is not None:
        yield "  energies in " + _in_ase(units.names["energy"], units.energy, "eV")
    if units.bohr is not None:
        yield "  positions in " + _in_ase(units.names["length"], units.length, "Å")
    yield "  predicts:"
    yield from (f"    {name}: {FIELDS[name].short_meaning}" for name in spec["outputs"] if name in FIELDS)
    yield "  layers:"
    for layer in spec["layers"]:
        yield f"    {layer['name']}" + _options(layer["params"])
    hub = spec.get("config", {}).get("Datahub")
    if hub:
        of_format = f" ({hub['data_format']})" if hub["data_format"] else ""
        yield f"  trained on {DataPath.of(hub['data_path'])}{of_format}:"
        yield from (f"    {name}: {source}" for name, source in {**hub["features"], **hub["targets"]}.items())


def _in_ase(name: str, size: float, unit: str) -> str:
    return name if name == unit else f"{name}, which is {size:.8g} {unit}"


def _options(options: Mapping[str, Any]) -> str:
    return ": " + ", ".join(f"{key} {value}" for key, value in options.items()) if options else ""


def _has_data(folder: Path) -> bool:
    from pyg_nnp.data.formats.readers import format_of

    try:
        return format_of(folder) is not None
    except DataError:
        return False


def _data(path: Path) -> Iterator[str]:
    from pyg_nnp.data.formats.guess import guess_fields, is_gradient
    from pyg_nnp.data.formats.readers import columns_of, format_of

    columns = columns_of(path, most=_FRAMES)
    probably = {source: name for name, source in guess_fields(columns).items()}
    yield f"{path}: {format_of(path)}; arrays, or what the first {_FRAMES} frames have:"
    for name, (shape, dtype, _) in columns.items():
        field = probably.get(name)
        meaning = FIELDS[field].short_meaning if field else ""
        meaning = "gradients, minus the forces" if field == "Fa" and is_gradient(name) else meaning
        meaning = f"  probably {field}, {meaning}" if field else ""
        yield f"  {name}: {shape} {dtype}{meaning}"


def _store(folder: Path) -> Iterator[str]:
    from pyg_nnp.data.store.layout import open_store

    with open_store(folder, whole=True) as (info, file):
        yield f"{folder}: store of a data set, {info.num_frames} frames, undamaged"
        for name in info.fields:
            shape = file["fields"][name].shape
            source = info.sources.get(name, "no: filled in")
            shared = ", the same in all frames" if name in info.shared else ""
            yield f"  {name}: {shape}, {FIELDS[name].short_meaning}, in the file: {source}{shared}"
        yield "  options" + _options(info.options)


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp info``."""
    print(describe(options.path))
    return 0
