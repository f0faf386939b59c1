"""Files that ASE reads: extended XYZ, its own databases (SQLite), and whatever else it knows.

ASE's readers are imported where they are called: it takes a tenth of a second, and other formats do not need them.
"""

import io
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pyg_nnp.data.formats.ase_frames import cell_of, decode_json, merged, row_fields
from pyg_nnp.data.formats.files import text_lines
from pyg_nnp.data.formats.format import Frame, frame_format
from pyg_nnp.data.formats.values import check_sizes, instead_of
from pyg_nnp.data.formats.xyz_comments import parse_comment
from pyg_nnp.data.source import CONFLICT, Origin
from pyg_nnp.errors import DataError

_PROPERTIES = re.compile(r"""(?:^|\s)Properties\s*=\s*("[^"]*"|[^\s"]+)""")
_IN_ANOTHER_CASE = re.compile(r"(?:^|\s)(properties)\s*=\s*\"?[^\s\":]+:[SRIL]:\d", re.IGNORECASE)
_NAMED = re.compile(r"[^:]+:[A-Za-z]:\d{1,18}(:[^:]+:[A-Za-z]:\d{1,18})*")  # columns: name, type, how many
# what may be a unit and its value, or the beginning of it; bounded, since a line may have millions of these
_UNITS = re.compile(r"""unit[^=]{0,40}=\s{0,9}(?:"[^"]{0,200}|'[^']{0,200}|\{[^}]{0,200}|\S{1,200})""", re.IGNORECASE)
_COUNT = re.compile(r"\s*[0-9]{1,12}\s*")
_PLAIN = 4  # columns of an XYZ file that is not extended: symbol and position
_FORTRAN = re.compile(r"(?<![\w.])([+-]?(?:\d+\.\d*|\.\d+))[dD]([+-]?\d+)(?![\w.])")  # 1.0D-03 of double precision
_QUOTED = re.compile(r"""\"(?:\\.|[^"\\])*\"|'[^']*'|\{[^}]*\}|\[[^\]]*\]""")
_KEY = re.compile(r"([^\s=]+)\s*=")
_MOST_COMMENTS = 100_000  # lines that are looked at for units, which takes seconds
_LONGEST_COMMENT = 100_000  # characters of such a line
_SHOWN = 60  # characters of a text in a message
_ROWS = 1000  # rows of a database held in memory at a time


def other_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of any file that ASE reads."""
    from ase.io import iread

    try:
        for atoms in iread(path):
            yield _fields(atoms)
    except DataError:
        raise
    except Exception as error:  # each of ASE's readers has its own
        raise DataError(f"{path}: ASE cannot read this file ({type(error).__name__}: {error}).") from error


def _fields(atoms: Atoms) -> Frame:
    results = atoms.calc.results if atoms.calc else {}
    own = {"natoms": len(atoms), "symbols": list(atoms.symbols), **cell_of(atoms)}
    return merged(own, atoms.info, atoms.arrays, results)


def _xyz_frames(path: Path) -> Iterator[Frame]:
    # ASE's own loop over a file ends at the first blank line, without a word; this one passes it by.
    with closing(text_lines(path)) as lines:
        headers = (line for line in lines if line.strip())
        for frame, header in enumerate(headers):
            if not _COUNT.fullmatch(header):
                what = f"expected the number of atoms, found '{header.strip()[:40]}'"
                raise DataError(f"{path}: frame {frame}: {what}.")
            num_atoms = int(header)
            check_sizes(Origin(str(path), {}, first=frame), np.array([num_atoms]))
            body = list(islice(lines, num_atoms + 1))
            if len(body) <= num_atoms:
                raise DataError(f"{path}: frame {frame}: the file ends before the last of {num_atoms} atoms.")
            yield _xyz_frame(path, frame, [header, *body])


def _with_columns(path: Path, frame: int, comment: str, values: Sequence[str]) -> str:
    """Return a comment line that names all the columns of numbers, of which the first atom has ``values``.

    Raises:
        DataError: it names other columns than there are.
    """
    properties = _PROPERTIES.search(comment)
    if properties is None:
        if other := _IN_ANOTHER_CASE.search(comment):
            what = f"write 'Properties' in place of '{other[1]}', which ASE leaves out"
            raise DataError(f"{path}: frame {frame}: {what}.")
        if len(values) <= _PLAIN or not all(map(_is_number, values[1:])):
            return comment
        name = f"columns_{_PLAIN + 1}_to_{len(values)}"
        return f"{comment.rstrip()} Properties=species:S:1:pos:R:3:{name}:R:{len(values) - _PLAIN}\n"
    named = properties[1].strip("\"'")
    if not _NAMED.fullmatch(named):
        what = f"Properties={named[:_SHOWN]} is no list of NAME:TYPE:COLUMNS, joined by colons, which no name can have"
        raise DataError(f"{path}: frame {frame}: {what}.")
    if numbered := re.search(r"(?:^|:)species:[IR]:1", named):
        what = f"write 'Z:I:1' in place of '{numbered[0].strip(':')}', since ASE takes species for symbols"
        raise DataError(f"{path}: frame {frame}: {what}.")
    columns = sum(map(int, named.split(":")[2::3]))  # ASE makes them all before it looks, and leaves out others
    if columns != len(values):
        what = f"Properties names {columns} columns, but the first atom has {len(values)} values"
        raise DataError(f"{path}: frame {frame}: {what}.")
    return comment


def _is_number(text: str) -> bool:
    try:
        float(_FORTRAN.sub(r"\1E\2", text))
    except ValueError:
        return False
    return True


def _xyz_texts(path: Path) -> Iterator[tuple[int, Frame]]:
    """Yield of many frames the number and what the comment line says, where it says other units than those before."""
    known: set[tuple[str, ...]] = set()
    with closing(text_lines(path)) as lines:
        headers = (line for line in lines if line.strip())
        for number, header in enumerate(islice(headers, _MOST_COMMENTS)):
            comment = next(lines, "")
            may_say = len(comment) < _LONGEST_COMMENT and "unit" in comment.lower()
            units = (*_UNITS.findall(comment),) if may_say else ()
            if units not in known:
                yield number, _said_in(comment) if units else {}
            known.add(units)
            if not _COUNT.fullmatch(header) or sum(1 for _ in islice(lines, int(header))) < int(header):
                return  # damage is told where frames are read


def _said_in(comment: str) -> Frame:
    from ase.io.extxyz import key_val_str_to_dict

    parse: Any = key_val_str_to_dict  # it has no types
    try:
        found: Frame = parse(comment)
    except Exception:  # as where it is read: ASE has no error of its own for each mistake
        return {}
    return found


def _xyz_frame(path: Path, frame: int, lines: Sequence[str]) -> Frame:
    from ase.io.extxyz import read_xyz

    header, comment, *atoms_lines = lines
    twice = _keys_given_twice(comment)
    if found := twice & {"Properties", "Lattice", "pbc"}:
        raise DataError(f"{path}: frame {frame}: '{min(found)}' is there twice. Remove one.")
    if atoms_lines:
        comment = _with_columns(path, frame, comment, atoms_lines[0].split())
    text = "".join([header, comment, *atoms_lines])
    try:
        atoms: Atoms = next(read_xyz(io.StringIO(_FORTRAN.sub(r"\1E\2", text)), slice(None), parse_comment))
    except DataError as error:
        raise DataError(f"{path}: frame {frame}: {error}") from error
    except KeyError as error:
        raise DataError(f"{path}: frame {frame}: {error} is no element.{instead_of(str(error.args[0]))}") from error
    except Exception as error:  # ASE has no error of its own for each mistake in a file
        raise DataError(f"{path}: frame {frame}: ASE cannot read it ({error}).") from error
    return {**_fields(atoms), **dict.fromkeys(twice, CONFLICT)}


def _keys_given_twice(comment: str) -> set[str]:
    """Return the keys that a comment line has more than once; ASE takes the last of them without a word."""
    keys = _KEY.findall(_QUOTED.sub("", comment))
    return {key for key in keys if keys.count(key) > 1} if len(keys) > len(set(keys)) else set()


def _database_frames(path: Path) -> Iterator[Frame]:
    """Yield the results of the calculator, the key-value pairs and the data of each row, besides the structure."""
    _check_database(path)
    frame, last_id = 0, 0
    with _connect(path) as database:
        while True:
            try:
                rows = list(database.select([("id", ">", last_id)], limit=_ROWS, sort="id"))
                frames = [row_fields(row) for row in rows]
            except DataError:
                raise
            except Exception as error:  # damaged data end as anything
                what = f"ASE cannot read frame {frame} or one of the {_ROWS} after it ({error})"
                raise DataError(f"{path}: {what}.") from error
            if not frames:
                return
            yield from frames
            frame, last_id = frame + len(rows), rows[-1].id


def _metadata(path: Path) -> dict[str, Any]:
    """Return what was noted for the whole database, such as SchNetPack's units."""
    _check_database(path)
    with _connect(path) as database:
        try:
            return dict(database.metadata)
        except Exception as error:  # damaged data end as anything
            raise DataError(f"{path}: ASE cannot read its metadata ({error}).") from error


def _connect(path: Path) -> Any:
    import ase.db
    from ase.db.core import bytes_to_object

    connect: Any = ase.db.connect  # it has no types
    database = connect(path, type="db", create_indices=False, use_lock_file=False)
    database.decode = lambda text, lazy=False: bytes_to_object(text) if isinstance(text, bytes) else decode_json(text)
    return database


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
        what = f"this is not an ASE database (SQLite), or it is damaged ({error})"
        raise DataError(f"{path}: {what}. {instead}.") from error
    if counts != [1, 0]:
        raise DataError(f"{path}: this SQLite database is not one of ASE. {instead}.")


EXTXYZ = frame_format("extxyz", "an XYZ file", rb"\s*\d+[ \t]*[\r\n]", _xyz_frames, texts=_xyz_texts)
DATABASE = frame_format("ase", "an SQLite database", rb"SQLite format 3\0", _database_frames, _metadata)
