"""Predictions for structures without labels, written while they come: extended XYZ, NumPy's npz, HDF5."""

import io
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from errno import EIO
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_xyz
from numpy.lib.format import dtype_to_descr, write_array, write_array_header_1_0
from torch_geometric.data import Data

from pyg_nnp.data.store.writer import append_rows, new_hdf5
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS, IN_ASE, OF_CELLS, TARGETS
from pyg_nnp.inference.no_numbers import frames_without, no_numbers
from pyg_nnp.inference.structures import Arrays, Structures
from pyg_nnp.potential.predictor import ATOMS_TO_EVALUATE, Predictor, recorded
from pyg_nnp.runtime import processes
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.runtime.files import refuse_existing, replacing, write_durably
from pyg_nnp.units import ASE, Units


def predict_file(
    predictor: Predictor,
    structures: Path | DataPath,
    out: Path,
    charge: float | None = None,
    on_frames: Callable[[int], None] = lambda count: None,
    units: str | None = None,
) -> int:
    """Predict all outputs of a potential for the structures of a file; memory holds some of them at a time.

    Args:
        predictor: in evaluation mode.
        structures: a data file, or any other that ASE reads; or several of one format.
        out: ``.xyz`` or ``.extxyz``: in eV and Å, for ASE; ``.npz``, ``.h5`` or ``.hdf5``: in the units of the training
            data, frames one after the other under standard names. All say their units.
        charge: total charge of all structures [e]; None takes that of the file, and 0 where it has none.
        on_frames: called with the number of frames that are done.
        units: of ``structures``, as :func:`pyg_nnp.inference.file_units.units_of_file` takes them.

    Returns:
        The number of structures.

    Raises:
        ConfigError: ``out`` is there already, or of a format that is not known, or ``units`` are not known.
        DataError: the structures cannot be read, or the potential cannot predict them.
        OSError: it cannot be written.
    """
    write = _WRITERS.get(out.suffix.lower())
    if write is None:
        raise ConfigError(f"-o {out}: the ending says the format. Known: {', '.join(_WRITERS)}.")
    refuse_existing(out)
    if write is _write_extxyz and len(predictor.units.texts) < len(ASE.texts):
        raise ConfigError(
            f"-o {out}: it would be in eV and Å, but the potential does not say its units. "
            "Write .npz or .h5, which are in those of the training data."
        )
    source, done = Structures(predictor, DataPath.of(structures), charge, units), 0

    def frames() -> Iterator[Arrays]:
        nonlocal done
        for arrays in _predicted(predictor, source):
            yield arrays
            done += len(arrays["N"])
            on_frames(done)

    if processes.number() == 0:
        write(out, frames(), predictor.units)
    else:
        # the others only take their turns to predict
        deque(frames(), maxlen=0)
    source.report()
    return done


def _predicted(predictor: Predictor, source: Structures) -> Iterator[Arrays]:
    """Yield the frames with all predicted fields, some thousand atoms at a time."""
    recording = recorded(predictor)

    def predict(numbered: tuple[int, Arrays]) -> dict[str, torch.Tensor]:
        first, arrays = numbered
        try:
            predicted = recording(_batch(arrays, predictor.device))
        except DataError as error:
            of = source.source.frames(range(first, first + len(arrays["N"])))
            raise DataError(f"{source.path}: {of}: {error}") from error
        return {name: predicted[name].cpu() for name in TARGETS if name in predicted}

    for (first, arrays), of_targets in processes.in_turn(_numbered(source), predict):
        predicted = {name: value.numpy() for name, value in of_targets.items()}
        for frame, names in sorted(frames_without(predicted, arrays["N"]).items()):
            end = int(arrays["N"][: frame + 1].sum())
            error = no_numbers(arrays["Ra"][end - arrays["N"][frame] : end], names)
            raise DataError(f"{source.path}: frame {first + frame}: {error}")
        yield arrays | predicted


def _numbered(source: Structures) -> Iterator[tuple[int, Arrays]]:
    """Yield pieces of the structures with the number of the first frame of each."""
    first = 0
    for arrays in chain.from_iterable(map(_pieces, source)):
        yield first, arrays
        first += len(arrays["N"])


def _pieces(arrays: Arrays) -> Iterator[Arrays]:
    """Cut frames into pieces of at most :data:`ATOMS_TO_EVALUATE` atoms, or one frame if it has more."""
    sizes = arrays["N"]
    ends = np.concatenate(([0], np.cumsum(sizes)))
    first = 0
    while first < len(sizes):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + ATOMS_TO_EVALUATE, side="right")) - 1)
        rows = {"atom": slice(ends[first], ends[last]), "graph": slice(first, last)}
        yield {name: values[rows[FIELDS[name].level]] for name, values in arrays.items()}
        first = last


def _batch(arrays: Arrays, device: torch.device) -> Data:
    # cells of molecules alone have no effect but on the time
    is_periodic = "pbc" in arrays and bool(arrays["pbc"].any())
    names = [name for name in arrays if is_periodic or name not in OF_CELLS]
    data = Data(**{name: torch.from_numpy(arrays[name]).to(device) for name in names})
    data.num_nodes = len(arrays["Za"])
    data.batch = torch.arange(len(data.N), device=device).repeat_interleave(data.N)  # (A,)
    return data


def _write_extxyz(path: Path, frames: Iterable[Arrays], units: Units) -> None:
    """Write frames for ASE, in eV, Å and e."""

    def pieces() -> Iterator[bytes]:
        for arrays in frames:
            text = io.StringIO()
            write_xyz(text, list(_in_ase(arrays, units)))
            yield text.getvalue().encode()

    write_durably(path, pieces())


def _in_ase(arrays: Arrays, units: Units) -> Iterator[Atoms]:
    """Yield each frame with its charge and predictions, in eV, Å and e."""
    factors = {name: units.in_ase(FIELDS[name].unit) for name in arrays}
    ends = np.cumsum(arrays["N"])
    for frame, (first, last) in enumerate(zip(ends - arrays["N"], ends, strict=True)):
        rows: dict[str, Any] = {"atom": slice(first, last), "graph": frame}
        values = {name: factors[name] * arrays[name][rows[FIELDS[name].level]] for name in arrays}
        of_cell = {name: values[name] for name in OF_CELLS if name in values}
        atoms = Atoms(arrays["Za"][first:last], values["Ra"], **of_cell)
        atoms.info |= {"charge": float(values["Q"]), **ASE.attributes}
        results = {ase_name: values[name] for ase_name, name in IN_ASE.items() if name in values}
        if not atoms.pbc.any() or atoms.cell.rank < 3:  # a molecule has none, nor what has no volume
            results.pop("stress", None)
        atoms.calc = SinglePointCalculator(atoms, **results)  # type: ignore[no-untyped-call]
        yield atoms


def _write_hdf5(path: Path, frames: Iterable[Arrays], units: Units) -> None:
    """Write frames in the units of the training, which are attributes of the file."""

    def verify(written: Path) -> None:
        with h5py.File(written, "r") as file:
            if {name: len(file[name]) for name in file} != lengths:
                raise OSError(EIO, "what was written reads differently")

    lengths: Counter[str] = Counter()
    with replacing(path, verify) as temporary, new_hdf5(temporary) as (file, disk):
        file.attrs.update(units.attributes)
        for arrays in frames:
            for name, values in arrays.items():
                append_rows(file, name, values)
                lengths[name] += len(values)
            disk.check()


def _write_npz(path: Path, frames: Iterable[Arrays], units: Units) -> None:
    """Write frames in the units of the training, which are texts in the file."""

    def verify(written: Path) -> None:
        with ZipFile(written) as archive:
            if archive.testzip():
                raise OSError(EIO, "what was written reads differently")

    # the header of an array says how long it is, so the rows have to wait until all are there
    with TemporaryDirectory(dir=path.parent, prefix=".predict_") as folder, replacing(path, verify) as temporary:
        about: Arrays = {}
        lengths: Counter[str] = Counter()
        for arrays in frames:
            for name, values in arrays.items():
                with (Path(folder) / name).open("ab") as rows_so_far:
                    rows_so_far.write(np.ascontiguousarray(values).tobytes())
                about[name] = values[:0]
                lengths[name] += len(values)
        with ZipFile(temporary, "w", allowZip64=True) as archive:
            for name, unit in units.attributes.items():
                with archive.open(f"{name}.npy", "w") as member:
                    write_array(member, np.array(unit))
            for name, empty in about.items():
                shape = (lengths[name], *empty.shape[1:])
                header = {"descr": dtype_to_descr(empty.dtype), "fortran_order": False, "shape": shape}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    write_array_header_1_0(member, header)
                    with (Path(folder) / name).open("rb") as waiting:
                        shutil.copyfileobj(waiting, member)


_WRITERS: dict[str, Callable[[Path, Iterable[Arrays], Units], None]] = {
    ".xyz": _write_extxyz,
    ".extxyz": _write_extxyz,
    ".npz": _write_npz,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
