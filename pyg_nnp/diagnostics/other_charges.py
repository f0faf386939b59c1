"""Whether the data file says other total charges than those that are read, under another name."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from pyg_nnp.config import Config
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.total_charge import charge_arrays
from pyg_nnp.diagnostics.finding import Finding, field_finding
from pyg_nnp.errors import DataError

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def check_other_charges(config: Config, dataset: "MoleculeDataset") -> list[Finding]:
    """Compare the total charges with those that the file has under another usual name; warnings where they differ."""
    hub, sources, findings = config.Datahub, dataset.sources, []
    source = dataset.source
    names = charge_arrays(dataset.info.columns, sources["Ra"]) if "Q" in sources else []
    for name in (name for name in names if name not in sources.values()):
        mapping = {field: sources[field] for field in ("N", "Ra", "Za") if field in sources} | {"Q": name}
        # what cannot be read is another quantity
        with suppress(DataError):
            blocks = read_blocks(hub.path, hub.data_format, mapping, optional=["Q"])
            other = np.concatenate([block.arrays["Q"] for block in blocks])
            frames = np.flatnonzero(np.isfinite(other) & (other != dataset.summary.Q))
            if len(frames):
                found = f"is {dataset.summary.Q[frames[0]]:g}, but '{name}' is {other[frames[0]]:g}."
                advice = "Read the one that is right, and remove or rename the other."
                findings.append(field_finding(source, "two total charges", "Q", found, advice, frames))
    return findings
