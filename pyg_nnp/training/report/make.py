"""The report of a trained model."""

from pathlib import Path

from pyg_nnp.config import Config, dump_config
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.records import metric_rows, read_records
from pyg_nnp.training.report.figures import model_figures
from pyg_nnp.training.report.page import REPORT, render, write_page, write_plots
from pyg_nnp.training.report.sample import sample
from pyg_nnp.training.report.scene import scene
from pyg_nnp.training.report.types import Evaluation
from pyg_nnp.training.state import TrainingData


def make_report(
    config: Config, name: str, data: TrainingData, potential: Potential, evaluation: Evaluation, out: Path
) -> Path:
    """Write the report of a trained model and its plots into the model's folder, and return the path of the page.

    The potential is the best one, evaluated by :func:`pyg_nnp.training.results.evaluate_for_report`.

    Raises:
        ConfigError: the place of the report is taken by something else.
        DataError: something of the training is missing or damaged.
        OSError: it cannot be written.
    """
    folder, units = out / config.folder_name(name), potential.units.names
    records = read_records(folder)
    shown = sample(data.dataset, potential.atomic_energies)
    figures = model_figures(shown, records, evaluation, units)
    html = render(
        REPORT,
        model=config.Modelhub.internal_FFs[name],
        parameters=sum(parameter.numel() for parameter in potential.parameters()),
        folder=folder,
        config=config,
        yaml=dump_config(config),
        parts={part: len(frames) for part, frames in data.parts.items()},
        sample=shown,
        history=records.history,
        metrics=records.metrics,
        metric_rows=metric_rows(records.metrics),
        run=records.run,
        evaluation=evaluation,
        # bonds depend on the unit of length
        scene=scene(evaluation.worst, potential.units.likely_length, units["energy/length"]),
        pictures=write_plots(folder / "plots", figures, out),
        units=units,
    )
    write_page(folder / "report.html", REPORT, html)
    return folder / "report.html"
