"""What the checks of a large data set have found, kept beside its store, so that the next training starts at once."""

import hashlib
import json
import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.field_checks import examine, origin_of_dipoles
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.runtime.files import locked_folder, write_json

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

LAYOUT = 1
LARGE = 100_000
"""Frames from which on results are kept; those of fewer are there in a second."""

_WITHOUT_EFFECT = {"compression", "preload", "in_memory"}

log = logging.getLogger(__name__)


def examine_once(
    config: Config, dataset: "MoleculeDataset", parts: Mapping[str, Tensor]
) -> tuple[str, tuple[Finding, ...]]:
    """Return what :func:`examine` does, kept from before where data, split and all options are the same.

    Findings that were kept do not have the numbers of their frames, but for those in their texts.
    """
    if len(dataset) < LARGE:
        return examine(config, dataset, parts)
    made_from = _made_from(config, dataset, parts)
    key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    path = dataset.folder / f"checks_{key}.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["made_from"] == made_from:
            log.info("what checks have found is read from %s", path)
            return str(kept["table"]), tuple(Finding(**finding) for finding in kept["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is not there, or damaged
    table, findings = examine(config, dataset, parts)
    if all(finding.error is None for finding in findings):
        rows = [{name: getattr(finding, name) for name in ("kind", "field", "text", "advice")} for finding in findings]
        try:
            with locked_folder(dataset.folder):
                write_json(path, {"made_from": made_from, "table": table, "findings": rows})
        except OSError as error:
            log.info("%s: what checks have found is not kept: %s.", path, error.strerror or error)
    return table, findings


def _made_from(config: Config, dataset: "MoleculeDataset", parts: Mapping[str, Tensor]) -> dict[str, Any]:
    drawn = hashlib.sha256()
    for part, frames in parts.items():
        drawn.update(f"{part} {len(frames)} ".encode() + frames.numpy().tobytes())
    return {
        "layout": LAYOUT,
        "version": version("pyg-nnp"),
        "store": dataset.info.content.digest,
        "summary": dataset.summary.fingerprint,
        "files": [start.name for start in dataset.source.starts],
        "Datahub": config.Datahub.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "units": config.units.options,
        "origin": origin_of_dipoles(config),
        "parts": drawn.hexdigest(),
    }
