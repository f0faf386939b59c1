"""Whether frames have energies or forces under another name than the one that is read, and not under this one."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from pyg_nnp.config import Config
from pyg_nnp.data.formats.guess import guess_fields
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.labels import has_labels
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import DataError

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def check_other_labels(config: Config, dataset: "MoleculeDataset") -> list[Finding]:
    """Look for the labels that frames lack under another usual name; warnings of those that are there.

    What most frames have beside the label that is read is a second quantity, such as an energy of another method.
    """
    hub, columns, sources, findings = config.Datahub, dataset.info.columns, dataset.sources, []
    structure = {field: sources[field] for field in ("N", "Ra", "Za") if field in sources}
    shapes = {sources["Ra"], sources["Za"]}  # by which labels are known
    free = {name: of for name, of in columns.items() if name in shapes or name not in sources.values()}
    guessed = guess_fields(free, by_shape=False)
    for name in (name for name in ("E", "Fa") if name in sources and name in guessed):
        is_read, other = has_labels(dataset.summary, name), guessed[name]
        if is_read.all():
            continue
        # what cannot be read is another quantity
        with suppress(DataError):
            blocks = read_blocks(hub.path, hub.data_format, structure | {name: other}, optional=[name])
            is_other = np.concatenate([block.has(name) for block in blocks])
            frames = int((is_other & ~is_read).sum())
            if frames and 2 * (is_other & is_read).sum() < is_read.sum():
                text = (
                    f"{hub.path}: '{other}' looks like {name}, too, in {frames} frames that have no '{sources[name]}'."
                )
                findings.append(Finding("unread labels", name, text, "Give it the same name in all frames."))
    return findings
