"""Writing the store of a preprocessed data set."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pyg_nnp.data.neighbor_lists import full_neighbor_list
from pyg_nnp.data.source import ArrayTypes, FileStart
from pyg_nnp.data.store.layout import FILE_NAME, Array, open_store
from pyg_nnp.data.store.sealed import seal
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FAMILY, FIELDS, SHAREABLE
from pyg_nnp.runtime.files import replacing, sync

# Bounds on the rows of a chunk: many small blocks must not become many small chunks, nor a tiny data set a large file.
_CHUNK_ROWS = (1024, 32768)
_STORED = {"int": np.int32, "text": np.int64}  # of families there are numbers alone
_ROWS_AT_ONCE = 1 << 20  # when a shared value turns out not to be shared


class Disk(io.FileIO):
    """A new file for HDF5 that hides errors from it: after a failed write, as on a full disk, it may end Python."""

    error: BaseException | None = None  # the first, or the exception of a signal; nothing is written after it

    def write(self, content: Any) -> int:
        """Write all bytes, if there was no error yet."""
        remaining = memoryview(content).cast("B")
        size = len(remaining)
        try:
            while len(remaining) and self.error is None:
                remaining = remaining[super().write(remaining) :]
        except BaseException as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Change the size of the file, if there was no error yet."""
        try:
            return super().truncate(size) if self.error is None else 0
        except BaseException as error:
            self.error = error
            return 0

    def check(self) -> None:
        """Raise the error, if there was one."""
        if isinstance(self.error, OSError):
            raise OSError(self.error.errno, self.error.strerror, str(self.name))
        if self.error is not None:
            raise self.error


class StoreWriter:
    """Appends frames to an open file; memory does not grow with their number.

    ``atomic_energies``, ``isolated``, ``columns`` and ``files`` are as in a ``StoreInfo``, and may be set until the
    end.
    """

    def __init__(self, disk: Disk, file: h5py.File, *, share: bool) -> None:
        self._disk = disk
        self._file = file
        self._fields = file.create_group("fields")
        self._may_share = SHAREABLE if share else ()
        self._shared: dict[str, Array] = {}
        self.names: frozenset[str] = frozenset()
        self._sizes: set[int] = set()
        self.num_frames = 0
        self.atomic_energies: Mapping[int, float] | None = None
        self.isolated: Sequence[int] = ()
        self.columns: ArrayTypes = {}
        self.files: Sequence[FileStart] = ()

    def append(self, arrays: Mapping[str, Array]) -> None:
        """Add frames: always the same fields, each with its rows, (G, ...) for molecules, (A, ...) for atoms."""
        self.names = self.names or frozenset(arrays)
        if self.names != frozenset(arrays):
            missing = ", ".join(sorted(self.names ^ frozenset(arrays)))
            raise DataError(f"frame {self.num_frames} and those before it do not have the same fields: {missing}.")
        sizes = np.asarray(arrays["N"])
        for name, rows in arrays.items():
            rows = np.asarray(rows, dtype=np.uint8 if name == "Za" else _STORED.get(FIELDS[name].dtype, np.float64))
            if not (name in self._may_share and self._share(name, rows, sizes)):
                append_rows(self._fields, name, rows)
        self._sizes.update(np.unique(sizes).tolist())
        self.num_frames += len(sizes)
        self._disk.check()

    def finish(self) -> None:
        """Write shared values, neighbor lists and reference energies, which are known at the end."""
        for name, value in self._shared.items():
            self._fields.create_dataset(name, data=value)
        for name, dataset in self._fields.items():
            dataset.attrs["shared"] = name in self._shared
        lists = self._file.create_group("neighbor_lists")
        for size in sorted(self._sizes):
            # in cells there are pairs within a cutoff alone, which the data set does not know
            edges = np.empty((2, 0), np.int32) if "cell" in self.names else full_neighbor_list(size).numpy()
            edges = edges.astype(np.int32)
            # a full list is all regularity: this makes it some hundred times smaller
            packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if edges.size else {}
            lists.create_dataset(str(size), data=edges, **packing)
        if self.atomic_energies is not None:
            group = self._file.create_group("atomic_energies")
            group["Z"] = np.array(list(self.atomic_energies), dtype=np.int64)
            group["energy"] = np.array(list(self.atomic_energies.values()), dtype=np.float64)
            group["frames"] = np.array(self.isolated, dtype=np.int64)
        columns = {name: (of.shape, of.dtype.str, of.frames) for name, of in self.columns.items()}
        self._file.attrs["columns"] = json.dumps(columns)
        self._file.attrs["files"] = json.dumps(self.files)
        self._file.attrs["num_frames"] = self.num_frames

    def _share(self, name: str, rows: Array, sizes: Array) -> bool:
        """Return whether ``rows`` repeat the value of all frames so far; if not, write it for each of them."""
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
            at_once = max(1, _ROWS_AT_ONCE // len(value))
            for first in range(0, self.num_frames, at_once):
                append_rows(self._fields, name, _repeated(value, min(at_once, self.num_frames - first)))
        return same


def _repeated(value: Array, times: int) -> Array:
    return np.tile(value, (times, *(1,) * (value.ndim - 1)))


def append_rows(group: h5py.Group, name: str, rows: Array) -> None:
    """Add rows to a data set, which is made with the first ones."""
    if name not in group:
        chunk = int(np.clip(len(rows), *_CHUNK_ROWS))
        shape = rows.shape[1:]
        # without a filter, so that each chunk lies in the file as it is
        layout = {"maxshape": (None, *shape), "chunks": (chunk, *shape)}
        group.create_dataset(name, shape=(0, *shape), dtype=rows.dtype, **layout)
    dataset = group[name]
    dataset.resize(len(dataset) + len(rows), axis=0)
    dataset[len(dataset) - len(rows) :] = rows


@contextmanager
def new_hdf5(path: Path) -> Iterator[tuple[h5py.File, Disk]]:
    """Open a new HDF5 file and the :class:`Disk` that it is written to; its errors are raised at the end."""
    with Disk(path, "x+") as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file, disk
        finally:
            # HDF5's own errors may come from what was lost
            disk.check()


@contextmanager
def write_store(
    folder: Path,
    store_hash: str,
    sources: Mapping[str, str],
    options: Mapping[str, Any],
    share: bool = True,
    atomic_energies: Mapping[int, float] | None = None,
) -> Iterator[StoreWriter]:
    """Write a store, which appears in ``folder`` when it is complete and verified, or not at all.

    A store that is there already is replaced at that moment; other files in its folder stay. With ``share`` each of
    ``Za``, ``N`` and ``Q`` is stored once if it is the same for all frames; all else is as in a ``StoreInfo``.

    Raises:
        OSError: it cannot be written; a store that was there is as it was.
    """
    writer: StoreWriter

    def verify(path: Path) -> None:
        with open_store(path.parent, store_hash, whole=True, file_name=path.name) as (info, _):
            if (info.num_frames, frozenset(info.fields)) != (writer.num_frames, writer.names - {FAMILY}):
                raise OSError(None, "what was written reads differently", str(path))

    folder.mkdir(parents=True, exist_ok=True)
    sync(folder.parent)
    with replacing(folder / FILE_NAME, verify) as partial:
        with new_hdf5(partial) as (file, disk):
            file.attrs.update(hash=store_hash)
            file.attrs.update(sources=json.dumps(dict(sources)), options=json.dumps(dict(options)))
            writer = StoreWriter(disk, file, share=share)
            writer.atomic_energies = atomic_energies
            yield writer
            writer.finish()
        seal(partial)
