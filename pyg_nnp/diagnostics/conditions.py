"""Whether the data file says what energies depend on besides atoms and charge, such as a spin, and nothing reads it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from pyg_nnp.config import Config
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.diagnostics.finding import Array, Finding
from pyg_nnp.errors import DataError

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

# names of such quantities -> fields that are read as one number, one vector or one text for each frame
_CONDITIONS = {
    r"spins?|multiplicity|spin_?multiplicity|mult|2s\+1|uhf|n_?unpaired|(num_)?unpaired_electrons": ("Q", "group"),
    r"(electric|magnetic|external)_?field|[eb]_?field|field": ("M2", "Q"),
    r"(excited_)?state|(electronic_)?state|root": ("Q", "group"),
    r"electronic_temperature|solvent|solvation|dielectric(_constant)?": ("Q", "group"),
    r"(level_of_)?theory|(qm_)?method|functional|xc|basis(_?set)?": ("group",),
}
_MOST_SHOWN = 3


def check_conditions(config: Config, dataset: "MoleculeDataset") -> list[Finding]:
    """Warn of arrays with such names that nothing reads, and that differ between frames.

    What follows from whether the number of electrons is odd, as the lowest multiplicity does, is no difference.
    """
    read, findings = {*dataset.sources.values()}, []
    for name in (name for name in dataset.info.columns if name not in read):
        fields = next((fields for names, fields in _CONDITIONS.items() if re.fullmatch(names, name, re.I)), ())
        values = next(_readings(config, dataset, name, fields), None)
        if values is None:
            continue
        electrons = dataset.summary.counts @ dataset.summary.elements - dataset.summary.Q
        shown = _different(values, electrons[dataset.molecules.numpy()].round() % 2 == 1)
        if len(shown) > 1:
            some = ", ".join(shown[:_MOST_SHOWN])
            some += f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
            text = (
                f"{config.Datahub.path}: '{name}' differs between frames ({some}), but makes no difference to "
                "what is predicted: nothing reads it."
            )
            advice = "If the labels depend on it, train on the frames of one value, or a model for each."
            findings.append(Finding("unread condition", None, text, advice))
    return findings


def _readings(config: Config, dataset: "MoleculeDataset", name: str, fields: tuple[str, ...]) -> Iterator[Array]:
    """Yield the values of an array for all frames that are no isolated atoms, as each field that it can be read as."""
    hub, sources = config.Datahub, dataset.sources
    needed = {field: sources[field] for field in ("N", "Ra", "Za") if field in sources}
    for field in fields:
        # what cannot be read is another quantity
        with suppress(DataError):
            blocks = read_blocks(hub.path, hub.data_format, needed | {field: name}, optional=[field])
            values = np.concatenate([block.arrays[field] for block in blocks])
            yield values[dataset.molecules.numpy()]


def _different(values: Array, is_odd: Array) -> list[str]:
    """Return the values that frames have beside others, among those with an odd or with an even number of electrons."""
    found: list[str] = []
    for chosen in (is_odd, ~is_odd):
        texts = sorted({_text(value) for value in values[chosen]})
        found += [text for text in texts if len(texts) > 1 and text not in found]
    return found


def _text(value: Array) -> str:
    numbers = np.atleast_1d(value)
    if numbers.dtype.kind in "US":
        return f"'{value}'"
    return " ".join(f"{number:g}" for number in numbers) if np.isfinite(numbers).all() else "none"
