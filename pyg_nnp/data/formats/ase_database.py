"""Databases of ASE (SQLite), each row read by ASE."""

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ase.db
from ase.db.core import bytes_to_object
from ase.db.row import AtomsRow
from ase.io import jsonio

from pyg_nnp.data.formats.ase_atoms import refuse_periodic
from pyg_nnp.data.formats.frame_dicts import ase_format
from pyg_nnp.errors import DataError

_connect: Any = ase.db.connect  # neither has types
_from_json: Any = jsonio.decode
_ROWS = 1000  # rows of a database held in memory at a time
_BOOKKEEPING = {"id", "unique_id", "ctime", "mtime", "user", "calculator", "calculator_parameters", "data"}


def database_frames(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the frames of an ASE database (SQLite).

    A frame has ``positions``, ``numbers``, ``symbols``, ``natoms``, the results of the calculator, the key-value pairs
    and the data of the row.

    Raises:
        DataError: if the file is no ASE database, or a row is damaged.
    """
    _check_database(path)
    frame, last_id = 0, 0
    with _connect(path, type="db", create_indices=False, use_lock_file=False) as database:
        database.decode = _decode
        while True:
            try:
                rows = list(database.select([("id", ">", last_id)], limit=_ROWS, sort="id"))
                for number, row in enumerate(rows):
                    refuse_periodic(path, frame + number, row.pbc)
                frames = [_row_fields(row) for row in rows]
            except DataError:
                raise
            except Exception as error:  # damaged data end as anything
                what = f"ASE cannot read frame {frame} or one of the {_ROWS} after it ({error})"
                raise DataError(f"{path}: {what}.") from error
            if not frames:
                return
            yield from frames
            frame, last_id = frame + len(rows), rows[-1].id


def _row_fields(row: AtomsRow) -> dict[str, Any]:
    # Not row.key_value_pairs: for a key 'charge' it gives the sum of the initial charges instead of the value.
    stored = {key: value for key, value in vars(row).items() if key[0] != "_" and key not in _BOOKKEEPING}
    return {"natoms": row.natoms, "symbols": row.symbols, **row.data, **stored}


def _check_database(path: Path) -> None:
    """Look without writing: ASE would add its tables to a database that has none."""
    instead = "Write one with ase.db.connect('dataset.db'), or set another data_format"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            # a view or a computed column (a hidden one) is a program
            tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'systems' AND type = 'table'"
            computed = "SELECT COUNT(*) FROM pragma_table_xinfo('systems') WHERE hidden <> 0"
            counts = [connection.execute(query).fetchone()[0] for query in (tables, computed)]
    except sqlite3.Error as error:
        raise DataError(
            f"{path}: this is not an ASE database (SQLite), or it is damaged ({error}). {instead}."
        ) from error
    if counts != [1, 0]:
        raise DataError(f"{path}: this SQLite database is not one of ASE. {instead}.")


def _decode(text: str | bytes, lazy: bool = False) -> Any:
    """Decode what ASE keeps as JSON; an array is not made before it is known that its numbers are there."""
    if isinstance(text, bytes):
        return bytes_to_object(text)
    json.loads(text, object_hook=_check_array)
    return _from_json(text)


def _check_array(found: dict[str, Any]) -> None:
    if "__ndarray__" in found:
        shape, _, numbers = found["__ndarray__"]
        if math.prod(shape) > len(numbers):
            raise ValueError(f"an array of shape {shape} with {len(numbers)} numbers")


FORMAT = ase_format("ase", "an SQLite database", rb"SQLite format 3\0", database_frames)
