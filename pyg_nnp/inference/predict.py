"""What a trained potential predicts for structures without labels: ``pyg-nnp predict``."""

import io
import logging
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
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_xyz
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_nnp.data import Block
from pyg_nnp.data.checks import Checks
from pyg_nnp.data.formats.readers import format_of
from pyg_nnp.data.formats.structures import OWN_NAMES, structure_blocks
from pyg_nnp.data.source import DataSource
from pyg_nnp.data.store.writer import append_rows, new_hdf5
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS, IN_ASE, TARGETS
from pyg_nnp.functional.composition import formulas
from pyg_nnp.inference.evaluate import trained_with
from pyg_nnp.inference.extrapolation import ClosestWatch, charges_never_seen, compositions_never_seen
from pyg_nnp.potential.cuda_graphs import Predict, Replayed
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import refuse_existing, replacing, write_durably
from pyg_nnp.training.fit import ATOMS_TO_EVALUATE
from pyg_nnp.units import Units

log = logging.getLogger(__name__)

Rows = dict[str, NDArray[Any]]


def predict_file(
    potential: Potential,
    structures: Path,
    out: Path,
    charge: float | None = None,
    on_frames: Callable[[int], None] = lambda count: None,
) -> int:
    """Predict all that a potential knows of the structures of a file; memory holds some of them at a time.

    Args:
        potential: in evaluation mode.
        structures: positions are in the unit of the training data in the formats that training reads with names of the
            user's own, and in the format of the training data; in any other file that ASE reads they are in Å.
        out: ``.xyz`` or ``.extxyz``: in eV and Å, for ASE; ``.npz``, ``.h5`` or ``.hdf5``: in the units of the training
            data, frames one after the other under standard names.
        charge: total charge of all structures [e]; None takes that of the file, and 0 where it has none.
        on_frames: called with the number of frames that are done.

    Returns:
        The number of structures.

    Raises:
        ConfigError: ``out`` is there already, or of a format that is not known.
        DataError: the structures cannot be read, or the potential cannot predict them.
        OSError: it cannot be written.
    """
    if out.suffix.lower() not in WRITERS:
        raise ConfigError(f"-o {out}: the ending says the format. Known: {', '.join(WRITERS)}.")
    refuse_existing(out)
    hub = trained_with(potential)["Datahub"]
    units = potential.units
    # before anything is written
    _, length = units.energy, units.length
    data_format = format_of(structures)
    own_unit = data_format in OWN_NAMES or (data_format is not None and data_format == hub["data_format"])
    factor = 1.0 if own_unit else 1 / length
    features = hub["features"] if own_unit else {}
    unit = length if own_unit else 1.0
    log.info("%s: positions are read in %s.", structures, "Å" if unit == 1 else f"units of {unit:g} Å")
    check = Checks(DataSource(str(structures), {"Q": "charge", **hub["features"]}), units.bohr)
    device, replayed = potential.device, Replayed(potential)
    closest = ClosestWatch(potential.domain.distances_in_angstrom(units))
    compositions: set[str] = set()
    done = 0

    def frames() -> Iterator[Rows]:
        nonlocal done
        charges_so_far: set[float] = set()
        for block in structure_blocks(structures, features):
            arrays = dict(block.arrays)
            arrays["Ra"] = arrays["Ra"] * factor
            if charge is not None:
                arrays["Q"] = np.full(len(arrays["N"]), charge)
            check(Block(block.first, arrays))
            positions, numbers, sizes = (torch.from_numpy(arrays[name]) for name in ("Ra", "Za", "N"))
            closest.look(positions * length, numbers, sizes)
            charges = set(arrays["Q"].tolist())
            if warning := charges_never_seen(potential.domain, charges - charges_so_far):
                log.warning("%s", warning)
            charges_so_far.update(charges)
            compositions.update(formulas(sizes, numbers))
            for piece in _pieces(arrays):
                try:
                    predicted = _predicted(replayed, device, piece)
                except DataError as error:
                    last = done + len(piece["N"]) - 1
                    of = f"frame {done}" if last == done else f"frames {done} to {last}"
                    raise DataError(f"{structures}: {of}: {error}") from error
                yield piece | predicted
                done += len(piece["N"])
                on_frames(done)

    WRITERS[out.suffix.lower()](out, frames(), units)
    if warning := compositions_never_seen(potential.domain, compositions):
        log.warning("%s: %s", structures, warning)
    closest.report("Predictions for these structures may mean nothing. Are their positions in the unit named above?")
    return done


def _pieces(arrays: Rows) -> Iterator[Rows]:
    """Cut frames into pieces of as many atoms as are evaluated at once, or one frame if it has more."""
    sizes = arrays["N"]
    ends = np.concatenate(([0], np.cumsum(sizes)))
    first = 0
    while first < len(sizes):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + ATOMS_TO_EVALUATE, side="right")) - 1)
        atoms, graphs = slice(ends[first], ends[last]), slice(first, last)
        yield {name: rows[atoms if FIELDS[name].level == "atom" else graphs] for name, rows in arrays.items()}
        first = last


def _predicted(predict: Predict, device: torch.device, rows: Rows) -> Rows:
    data = Data(**{name: torch.from_numpy(values).to(device) for name, values in rows.items()})
    data.num_nodes = len(rows["Za"])
    data.batch = torch.arange(len(data.N), device=device).repeat_interleave(data.N)
    predicted = predict(data)
    return {name: predicted[name].cpu().numpy() for name in TARGETS if name in predicted}


def _write_extxyz(path: Path, frames: Iterable[Rows], units: Units) -> None:
    in_ase, length = {name: units.in_ase(field.unit) for name, field in FIELDS.items()}, units.length

    def pieces() -> Iterator[bytes]:
        for rows in frames:
            text = io.StringIO()
            ends = np.cumsum(rows["N"])
            for frame, (first, last) in enumerate(zip(ends - rows["N"], ends, strict=True)):
                atoms = Atoms(rows["Za"][first:last], rows["Ra"][first:last] * length)
                atoms.info["charge"] = float(rows["Q"][frame])
                results = {
                    ase_name: in_ase[name] * rows[name][slice(first, last) if FIELDS[name].level == "atom" else frame]
                    for ase_name, name in IN_ASE.items()
                    if name in rows
                }
                atoms.calc = SinglePointCalculator(atoms, **results)  # type: ignore[no-untyped-call]
                write_xyz(text, [atoms])
            yield text.getvalue().encode()

    write_durably(path, pieces())


def _write_hdf5(path: Path, frames: Iterable[Rows], units: Units) -> None:
    def verify(written: Path) -> None:
        with h5py.File(written, "r") as file:
            if {name: len(file[name]) for name in file} != lengths:
                raise OSError(EIO, "what was written reads differently")

    lengths: Counter[str] = Counter()
    with replacing(path, verify) as temporary, new_hdf5(temporary) as (file, disk):
        file.attrs["unit_of_energy_in_eV"], file.attrs["unit_of_length_in_angstrom"] = units.energy, units.length
        for rows in frames:
            for name, values in rows.items():
                append_rows(file, name, values)
                lengths[name] += len(values)
            disk.check()


def _write_npz(path: Path, frames: Iterable[Rows], units: Units) -> None:
    def verify(written: Path) -> None:
        with ZipFile(written) as archive:
            if archive.testzip():
                raise OSError(EIO, "what was written reads differently")

    # the header of an array says how long it is, so the rows have to wait until all are there
    with TemporaryDirectory(dir=path.parent, prefix=".predict_") as folder, replacing(path, verify) as temporary:
        about: dict[str, NDArray[Any]] = {}
        lengths: Counter[str] = Counter()
        for rows in frames:
            for name, values in rows.items():
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


WRITERS: dict[str, Callable[[Path, Iterable[Rows], Units], None]] = {
    ".xyz": _write_extxyz,
    ".extxyz": _write_extxyz,
    ".npz": _write_npz,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
"""Ending of a file -> what writes predictions to it."""
