# mypy: allow-untyped-calls
"""Files that a simulation writes while it runs: frames and rows, and a progress bar on the terminal."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from rich.console import Console
from rich.progress import BarColumn, TextColumn

from pyg_nnp.errors import DataError
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.runtime.logs import progress_bar, time_columns
from pyg_nnp.units import ASE

TRAJECTORY, LOG, RESULT = "trajectory.xyz", "log.csv", "optimized.xyz"


class Record:
    """``trajectory.xyz`` and ``log.csv``, to which frames and rows are added.

    Args:
        folder: of both files.
        sizes: bytes of each that belong to the state that the simulation goes on from; what follows them is cut off.

    Raises:
        DataError: a file is shorter than that.
        OSError: one cannot be written.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int] | None = None) -> None:
        self.folder = folder
        paths = {name: folder / name for name in (TRAJECTORY, LOG)}
        for name, size in (sizes or {}).items():
            if not paths[name].is_file() or paths[name].stat().st_size < size:
                raise DataError(f"{paths[name]}: it is shorter than it was. Put it back, or start with another -o.")
        for name, size in (sizes or {}).items():
            os.truncate(paths[name], size)
        self.files = {name: path.open("ab") for name, path in paths.items()}

    @property
    def empty(self) -> bool:
        """Whether nothing was written yet."""
        return not self.files[LOG].tell()

    def frame(self, atoms: Atoms, **about: float) -> None:
        """Add a frame with energy [eV], forces [eV/Å], charges [e], dipole moment [e Å], and what it is about."""
        self._add(TRAJECTORY, _text_of(atoms, about))

    def result(self, atoms: Atoms) -> None:
        """Write the structure that was looked for to a file of its own."""
        write_durably(self.folder / RESULT, [_text_of(atoms, {}).encode()])

    def row(self, **values: float) -> None:
        """Add a row to the log; the first one has the names of the columns above it."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(values), lineterminator="\n")
        if self.empty:
            writer.writeheader()
        writer.writerow(values)
        self._add(LOG, text.getvalue())

    def sync(self) -> dict[str, int]:
        """Have all that was added put on the disk, and return the sizes of the files [bytes]."""
        for file in self.files.values():
            os.fsync(file.fileno())
        return {name: file.tell() for name, file in self.files.items()}

    def _add(self, name: str, text: str) -> None:
        self.files[name].write(text.encode())
        self.files[name].flush()

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *error: object) -> None:
        for file in self.files.values():
            file.close()


def _text_of(atoms: Atoms, about: Mapping[str, float]) -> str:
    atoms.get_potential_energy()
    text, shown = io.StringIO(), atoms.copy()
    shown.calc = atoms.calc
    shown.info |= {**about, **ASE.attributes}
    ase.io.write(text, shown, format="extxyz")
    return text.getvalue()


@contextmanager
def progress(console: Console, name: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], Any]]:
    """Show a progress bar; what is yielded is called with the number of steps that are done, and a few words."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[state]}"))
    with progress_bar(console, *columns, *time_columns()) as bar:
        task = bar.add_task(name, total=total, completed=done, state="")
        yield lambda completed, state: bar.update(task, completed=completed, state=state)
