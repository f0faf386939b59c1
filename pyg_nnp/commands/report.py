"""The command ``report``: pages made again from what a training has left, and comparisons of trainings."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pyg_nnp.config import Config, load_config
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.checkpoint import BEST, load_potential
from pyg_nnp.training.data_preparation import reopen_data
from pyg_nnp.training.report.compare import TrainedModel, compare, saved_protocol
from pyg_nnp.training.report.make import make_report
from pyg_nnp.training.results import evaluate_for_report
from pyg_nnp.training.run_setup import make_folder


def report(outs: Sequence[Path], page: Path | None = None) -> list[Path]:
    """Make the reports of one training again, or a ``page`` that compares several, from their output folders.

    Returns:
        The pages that were written; a comparison without a name is ``comparison.html`` in the working directory.

    Raises:
        ConfigError: the place of a page is taken by something else.
        DataError: something of a training is missing or damaged.
    """
    found = [(out, *model) for out in outs for model in trained_models(out)]
    if len(outs) > 1:
        page = page or Path("comparison.html")
        compare([TrainedModel.read(*model) for model in found], page)
        return [page]
    if page is not None:
        raise ConfigError(f"-o {page}: reports go into the folders of their models; -o is for comparing several OUT.")
    return [_again(*model) for model in found]


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
    folder = out / config.folder_name(name)
    data = reopen_data(config, out / f"processed_dataset_{saved_protocol(folder)['Datahub']['content and options']}")
    potential = load_potential(folder)
    evaluation = evaluate_for_report(config, name, potential, data)
    return make_report(config, name, data, potential, evaluation, out)


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp report``."""
    print(*report(options.outs, options.out), sep="\n")
    return 0
