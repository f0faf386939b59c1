# mypy: allow-untyped-calls
"""ASE databases in LMDB files, as fairchem and ase-db-backends write them (``.aselmdb``).

Each value is the JSON of a row, compressed by zlib, under the number of the row; some keys hold what is no row.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.formats.ase_frames import decode_json, row_fields
from pyg_nnp.data.formats.format import Frame, frame_format
from pyg_nnp.data.formats.lmdb_pages import MAGIC, value_places
from pyg_nnp.errors import DataError

_MOST_COMPRESSION, _SPARE = 100, 1 << 20  # of a row; what numbers are not packed better than, beyond some bytes
_INSTEAD = "Write one with ase.db.connect('dataset.aselmdb') and ase-db-backends, or set another data_format"


def _frames(path: Path) -> Iterator[Frame]:
    with path.open("rb") as file:
        try:
            # numbers of rows are in the order of their text in the file
            rows = [(int(key), *place) for key, *place in value_places(file) if key.isdigit()]
            places = np.array(rows, dtype=np.int64).reshape(-1, 3)
        except Exception as error:  # damaged data end as anything
            what = f"this is not an LMDB file, or it is damaged ({error})"
            raise DataError(f"{path}: {what}. {_INSTEAD}.") from error
        for frame, (_, offset, size) in enumerate(places[places[:, 0].argsort()].tolist()):
            yield _frame(path, frame, os.pread(file.fileno(), size, offset))


def _frame(path: Path, frame: int, packed: bytes) -> Frame:
    if packed.startswith(b"\x80"):
        what = "a pickled object, as older databases of Open Catalyst have, not a row of ASE; it is not read"
        raise DataError(f"{path}: frame {frame}: this is {what}. {_INSTEAD}.")
    # slow to import, see ase_files.py
    from ase.db.row import AtomsRow

    try:
        row = AtomsRow(_decode(packed))
        found = row_fields(row)
    except Exception as error:
        raise DataError(f"{path}: frame {frame}: the row of the database is damaged ({error!r}).") from error
    return found


def _decode(packed: bytes) -> dict[str, Any]:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(packed, _MOST_COMPRESSION * len(packed) + _SPARE)
    if not unpacker.eof:
        raise ValueError("it is cut short, or packed too well for data")
    row: dict[str, Any] = decode_json(text.decode())
    return row


FORMAT = frame_format("aselmdb", "an ASE database in an LMDB file", MAGIC, _frames)
