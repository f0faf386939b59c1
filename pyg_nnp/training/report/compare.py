"""One page for several trainings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyg_nnp.config import Config
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS
from pyg_nnp.potential.checkpoint import LAST, read_saved
from pyg_nnp.training.records import Records, metric_rows, read_records
from pyg_nnp.training.report.drawing import COLOURS
from pyg_nnp.training.report.figures import compared_curves
from pyg_nnp.training.report.page import COMPARISON, Picture, check_place, render, write_page
from pyg_nnp.units import OPTIONS, Units

# what the settings of two models must have in common to be compared
_COMPARABLE = ("Datahub.content and options", "Trainer.Splitter.")


@dataclass(frozen=True)
class TrainedModel:
    """A trained model."""

    label: str  # its folder
    records: Records  # files of its training
    settings: Mapping[str, Any]  # all that its result depends on, each value under its path

    @classmethod
    def read(cls, out: Path, config: Config, name: str) -> "TrainedModel":
        """Read a model from the output folder of its training.

        Raises:
            DataError: something is missing or damaged.
        """
        folder = out / config.folder_name(name)
        protocol = saved_protocol(folder)
        model = protocol["Modelhub"][name]
        settings = dict(_flat({**protocol, "Modelhub": model | {"name": name}}))
        return cls(str(folder), read_records(folder), settings)


def saved_protocol(folder: Path) -> dict[str, Any]:
    """Return all that the result of a training depends on, as it was saved in the folder of its model.

    Raises:
        DataError: it is missing or damaged.
    """
    description, _ = read_saved(folder / LAST)
    try:
        protocol: dict[str, Any] = description["training"]["protocol"]
    except KeyError as error:
        raise DataError(f"{folder / LAST}: this does not say what was trained. Use another copy of it.") from error
    return protocol


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values of nested dicts and lists of layers, each with its path."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        value = {f"{number} {part.get('name', '')}".strip(): part for number, part in enumerate(value)}
    if not isinstance(value, dict):
        yield key, value
        return
    for name, part in value.items():
        yield from _flat(part, f"{key}.{name}" if key else name)


def compare(models: Sequence[TrainedModel], page: Path) -> None:
    """Write a page that compares trained models.

    Raises:
        ConfigError: something else is there.
        OSError: it cannot be written.
    """
    check_place(page, COMPARISON)
    different = differing_settings([model.settings for model in models])
    html = render(
        COMPARISON,
        models=models,
        colours=[COLOURS[number % len(COLOURS)] for number in range(len(models))],
        rows=_rows(models),
        differences=different,
        comparable=not any(path.startswith(_COMPARABLE) for path in different),
        curves=Picture.of(compared_curves([(model.label, model.records.history) for model in models])),
    )
    write_page(page, COMPARISON, html)


def differing_settings(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return path -> the value in each of some settings, None where one has no such path, if they are not all equal."""
    paths = dict.fromkeys(path for of_model in settings for path in of_model)
    values = {path: [of_model.get(path) for of_model in settings] for path in paths}
    return {path: of_path for path, of_path in values.items() if any(value != of_path[0] for value in of_path)}


def _rows(models: Sequence[TrainedModel]) -> list[dict[str, Any]]:
    """Return a row for each error: part, field, kind, unit, values of the models, and the lowest of them."""
    tables = [metric_rows(model.records.metrics) for model in models]
    places = dict.fromkeys(
        (part, name, kind) for part in ("validation", "test") for table in tables for name, kind in table
    )
    rows = []
    for part, name, kind in places:
        values = [table.get((name, kind), {}).get(part) for table in tables]
        known = [value for value in values if value is not None]
        if known:
            row = {"part": part, "field": name, "kind": kind, "unit": _unit(models, name), "values": values}
            rows.append(row | {"lowest": min(known) if len(known) > 1 else None})
    return rows


def _unit(models: Sequence[TrainedModel], name: str) -> str:
    """Return the unit of a field, if it is that of all models."""
    options = [
        {option: model.settings.get(f"Modelhub.build_params.{option}") for option in OPTIONS} for model in models
    ]
    names = {Units.of(of_model).names[FIELDS[name].unit] for of_model in options}
    return names.pop() if len(names) == 1 else "different units"
