"""Files of predictions, written while frames come: extended XYZ, NumPy's npz, HDF5."""

import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from errno import EIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_xyz
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import NDArray

from pyg_nnp.data.store.writer import append_rows, new_hdf5
from pyg_nnp.fields import FIELDS, IN_ASE
from pyg_nnp.runtime.files import replacing, write_durably
from pyg_nnp.units import Units

Arrays = dict[str, NDArray[Any]]
"""Fields of some frames, one after the other, under standard names in the units of the training."""


def write_extxyz(path: Path, frames: Iterable[Arrays], units: Units) -> None:
    """Write frames for ASE, in eV, Å and e."""

    def pieces() -> Iterator[bytes]:
        for arrays in frames:
            text = io.StringIO()
            for atoms in _in_ase(arrays, units):
                write_xyz(text, [atoms])
            yield text.getvalue().encode()

    write_durably(path, pieces())


def _in_ase(arrays: Arrays, units: Units) -> Iterator[Atoms]:
    """Yield each frame with its charge and predictions, in eV, Å and e."""
    factors = {name: units.in_ase(FIELDS[name].unit) for name in arrays}
    ends = np.cumsum(arrays["N"])
    for frame, (first, last) in enumerate(zip(ends - arrays["N"], ends, strict=True)):
        rows: dict[str, Any] = {"atom": slice(first, last), "graph": frame}
        values = {name: factors[name] * arrays[name][rows[FIELDS[name].level]] for name in arrays}
        atoms = Atoms(arrays["Za"][first:last], values["Ra"])
        atoms.info["charge"] = float(values["Q"])
        results = {ase_name: values[name] for ase_name, name in IN_ASE.items() if name in values}
        atoms.calc = SinglePointCalculator(atoms, **results)  # type: ignore[no-untyped-call]
        yield atoms


def write_hdf5(path: Path, frames: Iterable[Arrays], units: Units) -> None:
    """Write frames in the units of the training, which are attributes of the file."""

    def verify(written: Path) -> None:
        with h5py.File(written, "r") as file:
            if {name: len(file[name]) for name in file} != lengths:
                raise OSError(EIO, "what was written reads differently")

    lengths: Counter[str] = Counter()
    with replacing(path, verify) as temporary, new_hdf5(temporary) as (file, disk):
        file.attrs["unit_of_energy_in_eV"], file.attrs["unit_of_length_in_angstrom"] = units.energy, units.length
        for arrays in frames:
            for name, values in arrays.items():
                append_rows(file, name, values)
                lengths[name] += len(values)
            disk.check()


def write_npz(path: Path, frames: Iterable[Arrays], units: Units) -> None:
    """Write frames in the units of the training."""

    def verify(written: Path) -> None:
        with ZipFile(written) as archive:
            if archive.testzip():
                raise OSError(EIO, "what was written reads differently")

    # the header of an array says how long it is, so the rows have to wait until all are there
    with TemporaryDirectory(dir=path.parent, prefix=".predict_") as folder, replacing(path, verify) as temporary:
        about: dict[str, NDArray[Any]] = {}
        lengths: Counter[str] = Counter()
        for arrays in frames:
            for name, values in arrays.items():
                with (Path(folder) / name).open("ab") as rows_so_far:
                    rows_so_far.write(np.ascontiguousarray(values).tobytes())
                about[name] = values[:0]
                lengths[name] += len(values)
        with ZipFile(temporary, "w", allowZip64=True) as archive:
            for name, empty in about.items():
                shape = (lengths[name], *empty.shape[1:])
                header = {"descr": dtype_to_descr(empty.dtype), "fortran_order": False, "shape": shape}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    write_array_header_1_0(member, header)
                    with (Path(folder) / name).open("rb") as waiting:
                        shutil.copyfileobj(waiting, member)


WRITERS: dict[str, Callable[[Path, Iterable[Arrays], Units], None]] = {
    ".xyz": write_extxyz,
    ".extxyz": write_extxyz,
    ".npz": write_npz,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
}
"""Ending of a file -> function that writes frames to it as they come; ``units`` are those of the training."""
