"""Labels that most frames of the data file have, and that the configuration does not read."""

import logging
from collections.abc import Mapping

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.formats.guess import guess_fields
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.fields import FIELDS, TARGETS

log = logging.getLogger(__name__)

_TOGETHER = {"E": "Fa", "Fa": "E"}
"""Labels of which hardly anybody leaves one out that the data have."""


def check_unread(source: DataSource, dataset: MoleculeDataset) -> list[Finding]:
    """Look for names of labels that nothing is read from: a warning for energies or forces alone, else a line."""
    molecules, findings = len(dataset.molecules), []
    for name, unread in _unread_labels(dataset.sources, dataset).items():
        frames = dataset.info.columns[unread].frames
        if frames is not None and 2 * frames < molecules:
            continue
        has = "" if frames is None else f" in {frames} of {len(dataset)} frames"
        text = f"{source.file}: '{unread}'{has} looks like {name} ({FIELDS[name].short_meaning}), and is not read."
        if _TOGETHER.get(name) in dataset.sources:
            advice = f"Add '{name}: {unread}' to Datahub.targets, and {name} to the loss and to Metrics."
            findings.append(Finding("unread labels", name, text, advice))
        else:
            log.info("%s", text)
    return findings


def _unread_labels(sources: Mapping[str, str], dataset: MoleculeDataset) -> dict[str, str]:
    guessed = guess_fields(dataset.info.columns, by_shape=False)
    read = {*sources.values()}
    return {name: guessed[name] for name in TARGETS if name not in sources and guessed.get(name, "") not in {"", *read}}
