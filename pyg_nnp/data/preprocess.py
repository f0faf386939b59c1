"""Preprocessing of a data file into a store: field mapping, checks, transforms."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pyg_nnp.data.checked_blocks import CheckedBlocks
from pyg_nnp.data.formats.readers import data_files
from pyg_nnp.data.known_digests import KnownDigests, statuses
from pyg_nnp.data.references import METHODS, read_atomic_energies
from pyg_nnp.data.store.layout import FILE_NAME, open_store
from pyg_nnp.data.store.writer import StoreWriter, write_store
from pyg_nnp.errors import ConfigError, DataError, did_you_mean
from pyg_nnp.fields import FIELDS
from pyg_nnp.runtime.files import PARTIAL, digest, locked_folder

if TYPE_CHECKING:
    from pyg_nnp.config import Config, Datahub

_LAYOUT = 2  # of what is digested, which changes the hash; that of the file may change without it

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
    hub, path = config.Datahub, config.Datahub.path
    options, sources = _options(config), {**hub.features, **hub.targets}
    _check_options(hub)
    atomic_energy = hub.transforms.atomic_energy
    csv_path = None if atomic_energy in (None, *METHODS) else Path(atomic_energy)
    energies, data = read_atomic_energies(csv_path) if csv_path else None, data_files(path, hub.data_format)
    files = [*data, csv_path] if csv_path else data
    status, digests = statuses(files), KnownDigests(Path(out))
    store_hash = _hash([*map(digests, data)], csv_path, sources, options)
    folder = Path(out) / f"processed_dataset_{store_hash}"
    found = f"{path}: preprocessed before, loading {folder}"
    # partial files of a killed process are removed below
    if hub.preload and not any(folder.glob(f".*{PARTIAL}")) and _damage(folder, store_hash) is None:
        log.info(found)
        digests.keep(folder)
        return folder
    blocks = CheckedBlocks(config, energies)
    blocks.check_statements()
    with locked_folder(folder):
        # another process may have been here first
        if hub.preload and (folder / FILE_NAME).exists():
            damage = _damage(folder, store_hash)
            if damage is None:
                log.info(found)
                digests.keep(folder)
                return folder
            log.warning("%s Preprocessing again.", damage)
        log.info("%s: preprocessing into %s", path, folder)
        start = perf_counter()
        with write_store(folder, store_hash, sources, options, hub.compression, energies) as writer:
            _fill(writer, blocks)
            if statuses(files) != status:
                raise DataError(f"{path}: the file was changed while it was read. Start again when it is complete.")
        digests.keep(folder)
        log.info("%s: %d frames preprocessed in %.1f s", path, writer.num_frames, perf_counter() - start)
    return folder


def _fill(writer: StoreWriter, blocks: CheckedBlocks) -> None:
    """Write all blocks, and what was found while they were read."""
    for block in blocks:
        writer.append(block.arrays)
    writer.columns, writer.files = blocks.columns, blocks.starts
    if blocks.isolated is not None:
        writer.atomic_energies, writer.isolated = blocks.isolated.energies, blocks.isolated.frames


def _check_options(hub: "Datahub") -> None:
    for path in hub.path.expanded():
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


def _options(config: "Config") -> dict[str, Any]:
    hub, family = config.Datahub, config.Trainer.Splitter.group
    atomic_energy = hub.transforms.atomic_energy
    seldom = {"allow_missing": sorted(hub.allow_missing), "group_weights": hub.group_weights, "group": family}
    return {
        # what is not used is left out, so that stores of before have the hash that they had
        **{name: value for name, value in seldom.items() if value},
        "data_format": hub.data_format,
        "compression": hub.compression,
        "atomic_energy": atomic_energy if atomic_energy in (None, *METHODS) else "csv",
        "negative_gradient": hub.transforms.negative_gradient,
        "total_energy_normalization": hub.transforms.total_energy_normalization,
        "Bohr_in_R": config.units.bohr,
    }


def _hash(digests: list[str], csv_path: Path | None, sources: Mapping[str, str], options: Mapping[str, Any]) -> str:
    covered = {
        "layout": _LAYOUT,
        "data": digests[0] if len(digests) == 1 else digests,
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
