"""Extended XYZ files, each frame read by ASE."""

import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import read_xyz

from pyg_nnp.data.formats.ase_atoms import fields_of, refuse_periodic
from pyg_nnp.data.formats.frame_dicts import ase_format
from pyg_nnp.data.formats.values import Origin, check_sizes
from pyg_nnp.errors import DataError

_COLUMNS = re.compile(r":[A-Za-z]:([0-9]+)")  # of a property: their number, after name and type


def xyz_frames(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the frames of an extended XYZ file, names and shapes as ASE gives them.

    A frame has ``positions``, ``numbers``, ``symbols``, ``natoms``, all columns, all keys of the comment line, and the
    results of a calculator (``energy``, ``forces``, ``dipole``, ``charges``, ...).

    Raises:
        DataError: if a frame is cut short or not in this format.
    """
    # ASE's own loop over a file ends at the first blank line, without a word; this one passes it by.
    with path.open(encoding="utf-8", errors="replace") as lines:
        headers = (line for line in lines if line.strip())
        for frame, header in enumerate(headers):
            if not re.fullmatch(r"\s*[0-9]{1,12}\s*", header):
                what = f"expected the number of atoms, found '{header.strip()[:40]}'"
                raise DataError(f"{path}: frame {frame}: {what}.")
            num_atoms = int(header)
            check_sizes(Origin(str(path), {}, first=frame), np.array([num_atoms]))
            body = list(islice(lines, num_atoms + 1))
            if len(body) <= num_atoms:
                raise DataError(f"{path}: frame {frame}: the file ends before the last of {num_atoms} atoms.")
            columns, values = sum(map(float, _COLUMNS.findall(body[0]))), len(body[1].split())
            if columns > values:  # ASE makes them all before it looks
                what = f"Properties names {columns:g} columns, but the first atom has {values} values"
                raise DataError(f"{path}: frame {frame}: {what}.")
            yield _xyz_fields(path, frame, header + "".join(body))


def _xyz_fields(path: Path, frame: int, text: str) -> dict[str, Any]:
    try:
        atoms: Atoms = next(read_xyz(io.StringIO(text), slice(None)))
    except KeyError as error:
        raise DataError(f"{path}: frame {frame}: {error} is no element.") from error
    except Exception as error:  # ASE has no error of its own for each mistake in a file
        raise DataError(f"{path}: frame {frame}: ASE cannot read it ({error}).") from error
    refuse_periodic(path, frame, atoms.pbc)
    return fields_of(atoms)


FORMAT = ase_format("extxyz", "an XYZ file", rb"[ \t]*\d+[ \t]*\r?\n", xyz_frames)
