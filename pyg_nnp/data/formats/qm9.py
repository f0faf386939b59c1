"""QM9's own XYZ files, one molecule after the other.

A molecule is the number of its atoms; ``gdb``, its number and 15 properties in one line; an atom a line with element,
position [Å] and Mulliken charge; and three lines with frequencies, SMILES and InChI (Ramakrishnan et al., Sci. Data
2014, 1, 140022, table 2 and 3). Energies are in Hartree. Some numbers have ``*^`` for the ``e`` of an exponent.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from pyg_nnp.data.formats.format import Format, Frame, frame_blocks, types_in
from pyg_nnp.data.formats.values import MAX_ATOMS
from pyg_nnp.data.source import Block
from pyg_nnp.errors import DataError

_PROPERTIES = ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0", "U", "H", "G", "Cv")
_LINES_AFTER = 3


def _frames(path: Path) -> Iterator[Frame]:
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = (line for line in file if line.strip())
        for number, header in enumerate(lines):
            try:
                num_atoms = int(header)
                if not 1 <= num_atoms <= MAX_ATOMS:
                    raise ValueError(f"{num_atoms} atoms")
                body = list(islice(lines, 1 + num_atoms + _LINES_AFTER))
                yield _molecule(body, num_atoms)
            except (ValueError, IndexError) as error:
                what = f"this is not a molecule as QM9 has it ({error})"
                raise DataError(f"{path}: frame {number}: {what}.") from error


def _molecule(body: list[str], num_atoms: int) -> Frame:
    """Return what the lines after the number of atoms say."""
    if len(body) != 1 + num_atoms + _LINES_AFTER:
        raise ValueError("the file ends too early")
    tag, index, *properties = body[0].split()
    if tag != "gdb" or len(properties) != len(_PROPERTIES):
        raise ValueError(f"expected 'gdb', a number and {len(_PROPERTIES)} properties, found '{body[0].strip()[:40]}'")
    atoms = [line.split() for line in body[1 : 1 + num_atoms]]
    numbers = np.array([[_number(text) for text in atom[1:5]] for atom in atoms])
    return {
        "gdb": int(index),
        **dict(zip(_PROPERTIES, map(_number, properties), strict=True)),
        "symbols": [atom[0] for atom in atoms],
        "positions": numbers[:, :3],
        "mulliken_charges": numbers[:, 3],
        "smiles": body[2 + num_atoms].split()[0],
    }


def _number(text: str) -> float:
    return float(text.replace("*^", "e"))


def _read(path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]) -> Iterator[Block]:
    return frame_blocks(path, _frames(path), mapping, frames_per_block, optional)


FORMAT = Format("qm9", "an XYZ file of QM9", rb"[ \t]*\d+[ \t]*\r?\ngdb\s+\d+\s", _read, lambda p: types_in(_frames(p)))
