"""The plots of the report of one model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pyg_nnp.errors import ConfigError
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.training.metrics import ALL, PER_ATOM
from pyg_nnp.training.report import figures
from pyg_nnp.training.report.drawing import png
from pyg_nnp.training.report.types import Evaluation, History, Sample


def model_figures(
    sample: Sample, history: History, best_epoch: int | None, evaluation: Evaluation, units: Mapping[str, str]
) -> dict[str, Figure]:
    """Draw the plots of a model.

    Args:
        sample: of the data set.
        history: of the training.
        best_epoch: the best one, if the training is over.
        evaluation: of the potential.
        units: kind of unit -> name.

    Returns:
        title -> figure.
    """
    return {
        "data": figures.data_figure(sample, units),
        "learning_curves": figures.learning_curves(history, best_epoch, units),
        **error_figures(evaluation, units),
    }


def error_figures(evaluation: Evaluation, units: Mapping[str, str]) -> dict[str, Figure]:
    """Draw the errors of a potential.

    Args:
        evaluation: of the potential.
        units: kind of unit -> name.

    Returns:
        title -> figure.
    """
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


def write_plots(folder: Path, drawn: Mapping[str, Figure], out: Path) -> dict[str, bytes]:
    """Write figures into a folder, and return them as PNG.

    Args:
        folder: it is made if it is not there.
        drawn: title -> figure.
        out: output folder of the training, which the folder must be in.

    Raises:
        ConfigError: it is a link out of it.
        OSError: it cannot be written.
    """
    pictures = {title: png(figure) for title, figure in drawn.items()}
    folder.mkdir(exist_ok=True)
    if not folder.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{folder}: leads to {folder.resolve()}, outside of {out}. Take that link away.")
    for title, picture in pictures.items():
        write_durably(folder / f"{title}.png", [picture])
    return pictures
