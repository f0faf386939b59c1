"""Whether the data file says what energies depend on besides atoms and charge, such as a spin, and nothing reads it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.diagnostics.finding import Array, Finding
from pyg_nnp.errors import DataError
from pyg_nnp.runtime.data_path import DataPath

# names of such quantities -> fields that are read as one number, one vector or one text for each frame
_CONDITIONS = {
    r"spins?|multiplicity|spin_?multiplicity|mult|2s\+1|uhf|n_?unpaired|(num_)?unpaired_electrons": ("E", "group"),
    r"(electric|magnetic|external)_?field|[eb]_?field|field": ("M2", "E"),
    r"(excited_)?state|(electronic_)?state|root": ("E", "group"),
    r"electronic_temperature|solvent|solvation|dielectric(_constant)?": ("E", "group"),
    r"level|(level_of_)?theory|(qm_)?method|functional|xc|basis(_?set)?|heads?": ("group",),
}
_MOST_SHOWN = 3


def check_conditions(
    path: Path | DataPath, data_format: str | None, sources: Mapping[str, str], names: Iterable[str]
) -> list[Finding]:
    """Warn of arrays with such names that nothing reads, and that differ between molecules.

    What follows from whether the number of electrons is odd, as the lowest multiplicity does, is no difference.

    Args:
        path: the data file, or several.
        data_format: as for :func:`pyg_nnp.data.formats.readers.read_blocks`.
        sources: standard name -> name in the file, of what is read.
        names: of the file.
    """
    findings = []
    for name in (name for name in names if name not in {*sources.values()}):
        fields = next((fields for names, fields in _CONDITIONS.items() if re.fullmatch(names, name, re.I)), ())
        shown = next(_readings(path, data_format, sources, name, fields), [])
        if len(shown) > 1:
            some = ", ".join(shown[:_MOST_SHOWN])
            some += f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
            text = (
                f"{path}: '{name}' differs between frames ({some}), but makes no difference to what is predicted: "
                "nothing reads it."
            )
            advice = "If the labels depend on it, train on the frames of one value, or a model for each."
            findings.append(Finding("unread condition", None, text, advice))
    return findings


def _readings(
    path: Path | DataPath, data_format: str | None, sources: Mapping[str, str], name: str, fields: tuple[str, ...]
) -> Iterator[list[str]]:
    """Yield what differs in an array between frames of several atoms, as each field that it can be read as."""
    needed = {field: sources[field] for field in ("N", "Ra", "Za", "Q") if field in sources}
    for field in fields:
        mapping = needed | {field: name}
        values, is_odd = [], []
        # what cannot be read is another quantity
        with suppress(DataError):
            for block in read_blocks(path, data_format, mapping, optional=[field, "Q"]):
                arrays = block.arrays
                several = arrays["N"] > 1
                electrons = np.add.reduceat(arrays["Za"], np.cumsum(arrays["N"]) - arrays["N"])  # (A,) -> (G,)
                electrons = electrons - np.nan_to_num(arrays["Q"]) if "Q" in arrays else electrons
                values.append(arrays[field][several])
                is_odd.append(electrons[several].round() % 2 == 1)
            yield _different(np.concatenate(values), np.concatenate(is_odd))


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
