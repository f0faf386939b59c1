"""The report of a trained model: what is needed for it, computed, drawn and written."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyg_nnp.config import Config, dump_config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.functional.composition import formula
from pyg_nnp.potential.checkpoint import BEST, load_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.runtime.logs import versions
from pyg_nnp.training.fit import HISTORY
from pyg_nnp.training.metrics import ALL, PER_ATOM
from pyg_nnp.training.report import figures
from pyg_nnp.training.report.collect import Evaluation, collect
from pyg_nnp.training.report.drawing import png
from pyg_nnp.training.report.history import read_course, read_history
from pyg_nnp.training.report.page import REPORT, Picture, render, write_page
from pyg_nnp.training.report.sample import sample
from pyg_nnp.training.report.scene import scene

METRICS = "metrics.json"


def make_report(
    config: Config,
    name: str,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    out: Path,
    device: str | torch.device = "cpu",
) -> Path:
    """Write ``report.html`` of a trained model, and its plots, into the model's folder.

    Args:
        config: that it was trained with.
        name: of the model.
        dataset: that it was trained on.
        parts: the frames of each part.
        out: output folder of the training.
        device: where to evaluate it.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the place of the report is taken by something else.
        DataError: something of the training is missing or damaged.
        OSError: it cannot be written.
    """
    folder = out / config.folder_name(name)
    potential = load_potential(folder, device)
    units = potential.units.names
    fields = _compared(config, name, dataset, potential)
    evaluation = collect(potential, dataset, parts, fields, config.Trainer.batch_size)
    history, metrics = read_history(folder / HISTORY), read_metrics(folder)
    seen = sample(dataset, potential.atomic_energies)
    drawn = {
        "data": figures.data_figure(seen, units),
        "learning_curves": figures.learning_curves(history, metrics.get("best_epoch"), units),
        **_of_errors(evaluation, units),
    }
    pictures = {title: png(figure) for title, figure in drawn.items()}
    _write_plots(folder / "plots", pictures, out)
    html = render(
        REPORT,
        title=folder.name,
        model=config.Modelhub.internal_FFs[name],
        parameters=sum(parameter.numel() for parameter in potential.parameters()),
        best=folder / BEST,
        config=config,
        yaml=dump_config(config),
        parts={part: len(frames) for part, frames in parts.items()},
        sample=seen,
        epochs=int(history.epochs[-1]),
        metrics=metrics,
        metric_rows=metric_rows(metrics),
        evaluation=evaluation,
        formulas=[formula(frame.Za) for frame in evaluation.worst],
        # bonds depend on the unit of length
        scene=scene(evaluation.worst, potential.units.likely_length, units["energy/length"]),
        pictures={title: Picture.of(picture) for title, picture in pictures.items()},
        fields=FIELDS,
        symbols={name: FIELDS[name].label for name in COMPARED},
        units=units,
        course=read_course(out / "logs", name),
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
        versions=versions(),
    )
    write_page(folder / "report.html", REPORT, html)
    return folder / "report.html"


def _compared(config: Config, name: str, dataset: MoleculeDataset, potential: Potential) -> list[str]:
    """Return the fields whose errors are shown: all targets that are predicted, and ``Q`` where it is asked for."""
    asked = [*config.Metrics.values(), *config.Modelhub.internal_FFs[name].loss.values()]
    wanted = [*config.Datahub.targets, *(["Q"] if any("Q" in of for of in asked) else [])]
    return [field for field in COMPARED if field in wanted and field in potential.outputs]


def _of_errors(evaluation: Evaluation, units: Mapping[str, str]) -> dict[str, Figure]:
    rows = {row.field: row for row in evaluation.rows if row.of == ALL}
    drawn = {
        f"parity_{name}": figures.parity(name, points, evaluation.part, rows[name].rmse, rows[name].mae, units)
        for name, points in evaluation.points.items()
        # where all molecules have the same charge, there is nothing to compare
        if name != "Q" or np.ptp(points.true) > 0
    }
    by_element = [row for row in evaluation.rows if row.of not in (ALL, PER_ATOM)]
    if by_element:
        drawn["errors_by_element"] = figures.errors_by_element(by_element, evaluation.part, units)
    return drawn


def _write_plots(folder: Path, pictures: Mapping[str, bytes], out: Path) -> None:
    folder.mkdir(exist_ok=True)
    if not folder.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{folder}: leads to {folder.resolve()}, outside of {out}. Take that link away.")
    for title, picture in pictures.items():
        write_durably(folder / f"{title}.png", [picture])


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return what ``metrics.json`` in the folder of a model says; nothing if the training has not ended.

    Raises:
        DataError: it is damaged.
    """
    path = folder / METRICS
    try:
        metrics: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        metric_rows(metrics)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: these are no metrics of a training, or damaged ones: {error}.") from error
    return metrics


def metric_rows(metrics: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, float | None]]:
    """Return (field, kind of error) -> part -> value, of all that ``metrics.json`` has."""
    rows: dict[tuple[str, str], dict[str, float | None]] = {}
    for part, of_part in metrics.items():
        if part != "best_epoch":
            for kind, of_kind in of_part.items():
                for name, value in of_kind.items() if kind != "score" else ():
                    rows.setdefault((name, kind), {})[part] = value
    return dict(sorted(rows.items(), key=lambda row: (COMPARED.index(row[0][0]), row[0][1])))
