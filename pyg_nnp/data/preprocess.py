"""Preprocessing of a data file into a store: field mapping, checks, transforms."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from pyg_nnp.data.formats.readers import columns_of, data_files, read_blocks
from pyg_nnp.data.frame_checks import Checks, refuse_unmapped_charge
from pyg_nnp.data.frame_weights import FrameWeights
from pyg_nnp.data.references import METHODS, IsolatedAtoms, read_atomic_energies
from pyg_nnp.data.source import Block, DataSource, add_types
from pyg_nnp.data.store.layout import FILE_NAME, LAYOUT, open_store
from pyg_nnp.data.store.writer import StoreWriter, write_store
from pyg_nnp.errors import ConfigError, DataError, did_you_mean
from pyg_nnp.fields import FIELDS, TARGETS, WEIGHTS
from pyg_nnp.runtime.files import PARTIAL, digest, locked_folder

if TYPE_CHECKING:
    from pyg_nnp.config import Config, Datahub

log = logging.getLogger(__name__)


def preprocess(config: "Config", out: Path) -> Path:
    """Make the store of the data set that a configuration describes, or find it made already.

    The hash in the store's name covers the content of the data file and of the CSV of reference energies, the field
    mapping and every preprocessing option, and no path: whatever changes the result changes the hash.

    Energies in the store are total energies; reference energies are kept beside them.

    Returns:
        The folder of the store, ``out/processed_dataset_<hash>``.

    Raises:
        ConfigError: if the options contradict each other or name missing files.
        DataError: if the data file does not hold what it must.
    """
    hub = config.Datahub
    path = Path(hub.data_path)
    sources = {**hub.features, **hub.targets}
    _check_options(hub)
    atomic_energy = hub.transforms.atomic_energy
    csv_path = None if atomic_energy in (None, *METHODS) else Path(atomic_energy)
    energies = read_atomic_energies(csv_path) if csv_path else None
    data = data_files(path, hub.data_format)
    files = [*data, csv_path] if csv_path else data
    status = _status(files)
    options = _options(hub, config.units.bohr)
    store_hash = _hash(data, csv_path, sources, options)
    folder = Path(out) / f"processed_dataset_{store_hash}"
    found = f"{path}: preprocessed before, loading {folder}"
    # partial files of a killed process are removed below
    if hub.preload and not any(folder.glob(f".*{PARTIAL}")) and _damage(folder, store_hash) is None:
        log.info(found)
        return folder
    if "Q" not in sources:
        refuse_unmapped_charge(DataSource(hub.data_path, sources), columns_of(path, hub.data_format, most=1))
        log.info("%s: no total charge Q is given; it is taken to be 0 for all frames", path)
    with locked_folder(folder):
        # another process may have been here first
        if hub.preload and (folder / FILE_NAME).exists():
            damage = _damage(folder, store_hash)
            if damage is None:
                log.info(found)
                return folder
            log.warning("%s Preprocessing again.", damage)
        log.info("%s: preprocessing into %s", path, folder)
        start = perf_counter()
        with write_store(folder, store_hash, sources, options, hub.compression, energies) as writer:
            _fill(writer, hub, sources, config.units.bohr, energies)
            if _status(files) != status:
                raise DataError(f"{path}: the file was changed while it was read. Start again when it is complete.")
        log.info("%s: %d frames preprocessed in %.1f s", path, writer.num_frames, perf_counter() - start)
    return folder


def _fill(
    writer: StoreWriter,
    hub: "Datahub",
    sources: dict[str, str],
    bohr_in_r: float | None,
    energies: Mapping[int, float] | None,
) -> None:
    """Write all frames of the data file, what it has under which names, and the energies of isolated atoms."""
    path, source = Path(hub.data_path), DataSource(hub.data_path, sources)
    isolated = IsolatedAtoms(source) if hub.transforms.atomic_energy == "isolated" else None
    for block in _checked_blocks(hub, sources, bohr_in_r, energies, isolated):
        writer.append(block.arrays)
        add_types(writer.columns, block.columns)
    # damage does no harm in arrays that are not read
    with suppress(DataError):
        writer.columns = writer.columns or columns_of(path, hub.data_format)
    if isolated is not None:
        isolated.check()
        writer.atomic_energies, writer.isolated = isolated.energies, isolated.frames


def _checked_blocks(
    hub: "Datahub",
    sources: dict[str, str],
    bohr_in_r: float | None,
    energies: Mapping[int, float] | None,
    isolated: IsolatedAtoms | None,
) -> Iterator[Block]:
    """Yield the frames of the data file as the store takes them."""
    path, source = Path(hub.data_path), DataSource(hub.data_path, sources)
    check, weigh = Checks(source, bohr_in_r, hub.allow_missing), FrameWeights(source, hub.group_weights)
    nowhere, periodic = set(hub.allow_missing), "cell" not in sources
    optional = {*hub.allow_missing, *WEIGHTS, *(TARGETS if isolated else ())}
    for block in read_blocks(path, hub.data_format, sources, optional=optional):
        if "Q" not in sources:
            refuse_unmapped_charge(source, block.columns)
            block.arrays["Q"] = np.zeros(block.num_frames)
        if isolated is not None:
            isolated(block)
        weigh(block)
        check(block)
        periodic = periodic or bool(block.arrays.get("pbc", np.zeros(1)).any())
        nowhere = {name for name in nowhere if np.isnan(block.arrays[name]).all()}
        if energies is not None:
            _check_atomic_energies(hub, block, energies)
        if hub.transforms.negative_gradient:
            block.arrays["Fa"] = np.negative(block.arrays["Fa"])
        yield block
    weigh.report()
    if not periodic:
        near = did_you_mean(sources["cell"], columns_of(path, hub.data_format))
        raise DataError(source.message("cell", f"makes no frame periodic.{near} Correct the name, or take it out."))
    for name in sorted(nowhere):
        near = did_you_mean(sources[name], columns_of(path, hub.data_format))
        found = f"is missing in all frames.{near} Correct the name, or take {name} out of the targets."
        raise DataError(source.message(name, found))


def _check_atomic_energies(hub: "Datahub", block: Block, energies: Mapping[int, float]) -> None:
    Za = block.arrays["Za"]
    known = np.isin(Za, list(energies))
    if not known.all():
        atom = int(np.flatnonzero(~known)[0])
        frame = int(np.searchsorted(np.cumsum(block.arrays["N"]), atom, side="right"))
        raise DataError(
            f"{hub.transforms.atomic_energy}: there is no energy for {chemical_symbols[Za[atom]]}, "
            f"which frame {block.first + frame} of {hub.data_path} has. Add a line for it."
        )


def _check_options(hub: "Datahub") -> None:
    path = Path(hub.data_path)
    if not os.path.exists(path):  # Path.exists() raises where a name is too long
        hint = did_you_mean(path.name, os.listdir(path.parent) if os.path.isdir(path.parent) else [])
        raise ConfigError(f"Datahub.data_path: there is no file '{path}', seen from '{Path.cwd()}'.{hint}")
    for name in ("Ra", "Za"):
        if name not in hub.features:
            what = f"'{name}' ({FIELDS[name].meaning})"
            raise ConfigError(f"Datahub.features: {what} is missing; every data set needs it.")
    transforms = hub.transforms
    needs = {
        "negative_gradient": ("Fa", transforms.negative_gradient),
        "atomic_energy": ("E", transforms.atomic_energy is not None),
        "total_energy_normalization": ("E", transforms.total_energy_normalization),
    }
    for option, (name, is_set) in needs.items():
        if is_set and name not in hub.targets:
            raise ConfigError(
                f"Datahub.transforms.{option} needs '{name}' in Datahub.targets, which has: "
                f"{', '.join(hub.targets) or 'nothing'}. Add '{name}' there, or leave the transform out."
            )


def _options(hub: "Datahub", bohr_in_r: float | None) -> dict[str, Any]:
    atomic_energy = hub.transforms.atomic_energy
    of_labels = {"allow_missing": sorted(hub.allow_missing), "group_weights": hub.group_weights}
    return {
        # what is not used is left out, so that stores of before have the hash that they had
        **{name: value for name, value in of_labels.items() if value},
        "data_format": hub.data_format,
        "compression": hub.compression,
        "atomic_energy": atomic_energy if atomic_energy in (None, *METHODS) else "csv",
        "negative_gradient": hub.transforms.negative_gradient,
        "total_energy_normalization": hub.transforms.total_energy_normalization,
        "Bohr_in_R": bohr_in_r,
    }


def _hash(data: list[Path], csv_path: Path | None, sources: Mapping[str, str], options: Mapping[str, Any]) -> str:
    digests = [digest(path) for path in data]
    covered = {
        "layout": LAYOUT,
        "data": digests[0] if len(data) == 1 else digests,
        "sources": dict(sources),
        "options": dict(options),
        "atomic_energies": digest(csv_path) if csv_path else None,
    }
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()[:16]


def _damage(folder: Path, store_hash: str) -> str | None:
    """Return what is wrong with a store, or that there is none; None: nothing is."""
    try:
        with open_store(folder, store_hash):
            return None
    except DataError as error:
        return str(error)


def _status(paths: list[Path]) -> list[tuple[int, int, int]]:
    """Return inode, size and time of change of files, which a change of one changes."""
    return [(status.st_ino, status.st_size, status.st_mtime_ns) for status in (path.stat() for path in paths)]
