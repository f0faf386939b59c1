"""Whether the data file says other total charges than those that are read, under another name."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from pyg_nnp.config import Config
from pyg_nnp.data.formats.guess import guess_fields
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.total_charge import charge_arrays
from pyg_nnp.diagnostics.finding import Finding, field_finding
from pyg_nnp.errors import DataError

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def check_other_charges(config: Config, dataset: "MoleculeDataset") -> list[Finding]:
    """Compare the total charges with those that the file has under another name; warnings where they differ.

    Those that are under none of the usual names, but under one that init would take, are whole numbers.
    """
    hub, sources, findings = config.Datahub, dataset.sources, []
    source, columns = dataset.source, dataset.info.columns
    structure = {sources[name] for name in ("N", "Ra", "Za") if name in sources}
    unread = {name: column for name, column in columns.items() if name in structure or name not in sources.values()}
    usual = [name for name in charge_arrays(columns, sources["Ra"]) if name in unread]
    guessed = guess_fields(unread, by_shape=False).get("Q")
    for name in dict.fromkeys([*usual, *([guessed] if guessed else [])]):
        mapping = {field: sources[field] for field in ("N", "Ra", "Za") if field in sources} | {"Q": name}
        # what cannot be read is another quantity
        with suppress(DataError):
            blocks = read_blocks(hub.path, hub.data_format, mapping, optional=["Q"])
            other = np.concatenate([block.arrays["Q"] for block in blocks])
            is_there = np.isfinite(other)
            frames = np.flatnonzero(is_there & (other != dataset.summary.Q))
            if len(frames) and (name in usual or not np.mod(other[is_there], 1).any()):
                found = f"is {dataset.summary.Q[frames[0]]:g}, but '{name}' is {other[frames[0]]:g}."
                advice = "Read the one that is right, and remove or rename the other."
                findings.append(field_finding(source, "two total charges", "Q", found, advice, frames))
    return findings
