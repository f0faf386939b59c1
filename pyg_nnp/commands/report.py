"""The command ``report``: pages made again from what a training has left, and comparisons of trainings."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from pyg_nnp.commands.check import make_folder
from pyg_nnp.config import Config, load_config
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.checkpoint import BEST, LAST, load_potential, read_saved
from pyg_nnp.training.report.collect import collect, compared_fields
from pyg_nnp.training.report.compare import TrainedModel, compare
from pyg_nnp.training.report.make import make_report
from pyg_nnp.training.report.records import read_records
from pyg_nnp.training.settings import TrainingData


def report(outs: Sequence[Path], page: Path | None = None) -> list[Path]:
    """Make the reports of the models of one training again, or compare several trainings.

    Args:
        outs: output folders of trainings.
        page: where the comparison goes; None: ``comparison.html`` in the working directory.

    Returns:
        The pages that were written.

    Raises:
        ConfigError: the place of a page is taken by something else.
        DataError: something of a training is missing or damaged.
    """
    found = [(out, *model) for out in outs for model in trained_models(out)]
    if len(outs) > 1:
        page = page or Path("comparison.html")
        compare([_trained_model(out, config, name) for out, config, name in found], page)
        return [page]
    if page is not None:
        raise ConfigError(f"-o {page}: reports go into the folders of their models; -o is for comparing several OUT.")
    return [_again(out, config, name) for out, config, name in found]


def trained_models(out: Path) -> list[tuple[Config, str]]:
    """Return configuration and name of each model that was trained in an output folder.

    Raises:
        DataError: there is none.
    """
    found: dict[str, tuple[Config, str]] = {}
    # the last configuration first; older ones were kept under a number
    kept = sorted(out.glob("config.*.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [*(p for p in [out / "config.yaml"] if p.exists()), *kept]:
        config = load_config(path)
        for name in config.Modelhub.internal_FFs:
            folder = config.folder_name(name)
            if (out / folder / BEST).exists():
                found.setdefault(folder, (config, name))
    if not found:
        raise DataError(
            f"{out}: no trained model of a config.yaml is here. Name the folder that training was given with -o, "
            "which has config.yaml and, after the first epoch, a folder such as FF01-SchNet."
        )
    return list(found.values())


def _again(out: Path, config: Config, name: str) -> Path:
    make_folder(config, out)
    store = out / f"processed_dataset_{_protocol(out, config, name)['Datahub']['content and options']}"
    # by what the training says itself, and not by the data file, which may be gone or changed
    dataset = MoleculeDataset(store, getattr(torch, config.Trainer.dtype), in_memory=config.Datahub.in_memory)
    parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    potential = load_potential(out / config.folder_name(name))
    evaluation = collect(potential, dataset, parts, compared_fields(config, name, potential), config.Trainer.batch_size)
    return make_report(config, name, TrainingData(dataset, parts), potential, evaluation, out)


def _protocol(out: Path, config: Config, name: str) -> dict[str, Any]:
    """Return all that the result of a training depends on, as it was saved."""
    path = out / config.folder_name(name) / LAST
    description, _ = read_saved(path)
    try:
        protocol: dict[str, Any] = description["training"]["protocol"]
    except KeyError as error:
        raise DataError(f"{path}: this does not say what was trained. Use another copy of it.") from error
    return protocol


def _trained_model(out: Path, config: Config, name: str) -> TrainedModel:
    folder = out / config.folder_name(name)
    protocol = _protocol(out, config, name)
    model = protocol["Modelhub"][name]
    settings = dict(_flat({**protocol, "Modelhub": model | {"name": name}}))
    return TrainedModel(str(folder), read_records(folder), settings)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values of nested dicts and lists of layers, each with its path."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        value = {f"{number} {part.get('name', '')}".strip(): part for number, part in enumerate(value)}
    if not isinstance(value, dict):
        yield key, value
        return
    for name, part in value.items():
        yield from _flat(part, f"{key}.{name}" if key else name)


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp report``."""
    print(*report(options.outs, options.out), sep="\n")
    return 0
