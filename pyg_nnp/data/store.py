"""The HDF5 store of a preprocessed data set: its layout, how it is written, how it is opened.

Layout of ``processed_dataset_<hash>/dataset.h5``::

    attributes                layout, hash, num_frames, sources (JSON), options (JSON), complete (written last)
    fields/<name>             all frames one after the other, nothing padded; with the attribute ``shared`` true
                              the rows of one frame, which hold for all
    neighbor_lists/<N>        (2, N (N - 1)) int32, once per distinct number of atoms
    atomic_energies/          Z and energy, the reference energies, where the user gave them
"""

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pyg_nnp.data.neighbors import full_neighbor_list
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS

LAYOUT = 1
FILE_NAME = "dataset.h5"
SHAREABLE = ("N", "Za", "Q")

Array = NDArray[Any]

# Bounds on the rows of a chunk: many small blocks must not become many small chunks, nor a tiny data set a large file.
_CHUNK_ROWS = (1024, 32768)
# Rows written at once when a shared value turns out not to be shared.
_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class StoreInfo:
    """What a store says of itself.

    Attributes:
        hash: of the content and options that it was made from.
        num_frames: number of molecules.
        sources: standard field name -> name in the data file.
        options: the preprocessing options.
        fields: the fields present, in their standard order.
        shared: those stored once for all frames.
        atomic_energies: atomic number -> reference energy, in the data's unit of energy, or None if there are none.
    """

    hash: str
    num_frames: int
    sources: dict[str, str]
    options: dict[str, Any]
    fields: tuple[str, ...]
    shared: frozenset[str]
    atomic_energies: dict[int, float] | None


class StoreWriter:
    """Appends frames to an open file; memory does not grow with their number."""

    def __init__(self, file: h5py.File, *, share: bool) -> None:
        self._file = file
        self._fields = file.create_group("fields")
        self._may_share = SHAREABLE if share else ()
        self._shared: dict[str, Array] = {}
        self._names: frozenset[str] | None = None
        self._sizes: set[int] = set()
        self.num_frames = 0

    def append(self, arrays: Mapping[str, Array]) -> None:
        """Add a run of frames.

        Args:
            arrays: per field its rows: (G, ...) for molecules, (A, ...) for atoms; the same fields at each call.

        Raises:
            DataError: if the fields are others than those of the frames before.
        """
        if self._names is None:
            self._names = frozenset(arrays)
        if self._names != frozenset(arrays):
            missing = ", ".join(sorted(self._names ^ frozenset(arrays)))
            raise DataError(f"frame {self.num_frames} and those before it do not have the same fields: {missing}.")
        sizes = np.asarray(arrays["N"])
        for name, rows in arrays.items():
            rows = _as_stored(name, rows)
            if not (name in self._may_share and self._share(name, rows, sizes)):
                self._write(name, rows)
        self._sizes.update(np.unique(sizes).tolist())
        self.num_frames += len(sizes)

    def finish(self, atomic_energies: Mapping[int, float] | None) -> None:
        """Write what is known only at the end: shared values, neighbor lists, reference energies."""
        for name, value in self._shared.items():
            self._fields.create_dataset(name, data=value)
        for name, dataset in self._fields.items():
            dataset.attrs["shared"] = name in self._shared
        lists = self._file.create_group("neighbor_lists")
        for size in sorted(self._sizes):
            edges = full_neighbor_list(size).numpy().astype(np.int32)
            # a full list is all regularity: this makes it some hundred times smaller
            packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if edges.size else {}
            lists.create_dataset(str(size), data=edges, **packing)
        if atomic_energies is not None:
            group = self._file.create_group("atomic_energies")
            group["Z"] = np.array(list(atomic_energies), dtype=np.int64)
            group["energy"] = np.array(list(atomic_energies.values()), dtype=np.float64)
        self._file.attrs["num_frames"] = self.num_frames

    def _share(self, name: str, rows: Array, sizes: Array) -> bool:
        """Say whether ``rows`` repeat what all frames had so far; if they do not, write that out and stop sharing."""
        if self.num_frames == 0:
            self._shared[name] = rows[: sizes[0]] if FIELDS[name].level == "atom" else rows[:1]
        elif name not in self._shared:
            return False
        value = self._shared[name]
        if FIELDS[name].level == "graph":
            same = bool((rows == value).all())
        else:
            same = bool((sizes == len(value)).all()) and bool((rows.reshape(-1, len(value)) == value).all())
        if not same:
            del self._shared[name]
            self._write_repeated(name, value)
        return same

    def _write_repeated(self, name: str, value: Array) -> None:
        at_once = max(1, _ROWS_AT_ONCE // len(value))
        for first in range(0, self.num_frames, at_once):
            self._write(name, np.tile(value, min(at_once, self.num_frames - first)))

    def _write(self, name: str, rows: Array) -> None:
        if name not in self._fields:
            chunk = int(np.clip(len(rows), *_CHUNK_ROWS))
            shape = rows.shape[1:]
            # with a checksum, so that a damaged file does not become wrong labels
            layout = {"maxshape": (None, *shape), "chunks": (chunk, *shape), "fletcher32": True}
            self._fields.create_dataset(name, shape=(0, *shape), dtype=rows.dtype, **layout)
        dataset = self._fields[name]
        dataset.resize(len(dataset) + len(rows), axis=0)
        dataset[len(dataset) - len(rows) :] = rows


@contextmanager
def write_store(
    folder: Path,
    *,
    store_hash: str,
    sources: Mapping[str, str],
    options: Mapping[str, Any],
    share: bool = True,
    atomic_energies: Mapping[int, float] | None = None,
) -> Iterator[StoreWriter]:
    """Write a store, which appears at ``folder`` when all of it is written, or not at all.

    A store that is there already is replaced at that moment; other files in its folder stay.

    Args:
        folder: of the store; the folder it lies in is made if necessary.
        store_hash: of the content and options that the store is made from.
        sources: standard field name -> name in the data file.
        options: preprocessing options, to be kept as JSON.
        share: store ``Za``, ``N`` and ``Q`` once, each if it is the same for all frames.
        atomic_energies: atomic number -> reference energy.

    Yields:
        The writer to append frames to.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir()
    try:
        with h5py.File(partial / FILE_NAME, "w") as file:
            file.attrs.update(layout=LAYOUT, hash=store_hash)
            file.attrs.update(sources=json.dumps(dict(sources)), options=json.dumps(dict(options)))
            writer = StoreWriter(file, share=share)
            yield writer
            writer.finish(atomic_energies)
            file.attrs["complete"] = True
        if folder.is_dir():
            (partial / FILE_NAME).replace(folder / FILE_NAME)
        else:
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def open_store(folder: Path, store_hash: str | None = None) -> Iterator[tuple[StoreInfo, h5py.File]]:
    """Open a store and verify its layout, that it is complete, and its hash.

    Args:
        folder: of the store.
        store_hash: what its hash must be; if None, what the name of the folder says, if it says one.

    Yields:
        What the store says of itself, and the open file.

    Raises:
        DataError: if there is no store, or it is damaged, incomplete, of another layout, or of another hash.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise DataError(f"{folder}: there is no processed data set here ('{FILE_NAME}' is missing).")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unusable(path, "is damaged") from error
    with file:
        _verify(file, path, store_hash or folder.name.partition("processed_dataset_")[2])
        try:
            info = _read_info(file)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unusable(path, "is damaged") from error
        yield info, file


def read_rows(file: h5py.File, name: str, dtype: type[np.generic]) -> Array:
    """Read all rows of a field, converted while reading, so that memory holds them once.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        dataset = file["fields"][name]
        if dataset.external or dataset.is_virtual or dataset.file.filename != file.filename:
            raise ValueError("values in another file")
        rows: Array = np.empty(dataset.shape, dtype=dtype)
        dataset.read_direct(rows)
    except (AttributeError, KeyError, MemoryError, OSError, TypeError, ValueError) as error:
        raise _unusable(Path(file.filename), "is damaged") from error
    return rows


def read_neighbor_lists(file: h5py.File) -> dict[int, Array]:
    """Read the neighbor lists, (2, N (N - 1)) int64 by number of atoms N.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        return {int(size): edges[()].astype(np.int64) for size, edges in file["neighbor_lists"].items()}
    except (AttributeError, KeyError, MemoryError, OSError, TypeError, ValueError) as error:
        raise _unusable(Path(file.filename), "is damaged") from error


def _as_stored(name: str, rows: Array) -> Array:
    if name == "Za":
        return np.asarray(rows, dtype=np.uint8)
    return np.asarray(rows, dtype=np.int32 if FIELDS[name].dtype == "int" else np.float64)


def _verify(file: h5py.File, path: Path, store_hash: str) -> None:
    if file.attrs.get("layout") != LAYOUT:
        raise _unusable(path, f"has layout {file.attrs.get('layout')}, but this version of pyg_nnp reads {LAYOUT}")
    if not file.attrs.get("complete", False):
        raise _unusable(path, "is incomplete")
    if store_hash and file.attrs["hash"] != store_hash:
        raise _unusable(path, f"has the hash {file.attrs['hash']}, but {store_hash} is asked for")


def _read_info(file: h5py.File) -> StoreInfo:
    energies = None
    if "atomic_energies" in file:
        group = file["atomic_energies"]
        energies = dict(zip(group["Z"][()].tolist(), group["energy"][()].tolist(), strict=True))
    fields = file["fields"]
    return StoreInfo(
        hash=str(file.attrs["hash"]),
        num_frames=int(file.attrs["num_frames"]),
        sources=json.loads(file.attrs["sources"]),
        options=json.loads(file.attrs["options"]),
        fields=tuple(name for name in FIELDS if name in fields),
        shared=frozenset(name for name in fields if fields[name].attrs["shared"]),
        atomic_energies=energies,
    )


def _unusable(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: the processed data set {reason}. Delete its folder, or set Datahub.preload: false.")
