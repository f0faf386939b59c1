"""The HDF5 store of a preprocessed data set: its layout, how it is opened, how damage is recognised.

Layout of ``processed_dataset_<hash>/dataset.h5``::

    attributes                hash, num_frames; as JSON sources, options, columns, files
    fields/<name>             all frames one after the other, nothing padded, in chunks without filters; with the
                              attribute ``shared`` true the rows of one frame, which hold for all
    neighbor_lists/<N>        (2, N (N - 1)) int32, once per distinct number of atoms; with cells empty
    atomic_energies/          Z and energy, the reference energies that the user gave or that isolated atoms have;
                              frames, those of these atoms

and after what belongs to HDF5 the digests of its blocks, as :mod:`pyg_nnp.data.store.sealed` describes them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.data.source import ArrayType, ArrayTypes, FileStart
from pyg_nnp.data.store.rows import StoredRows
from pyg_nnp.data.store.sealed import Content, SealedFile, unusable
from pyg_nnp.fields import FAMILY, FIELDS

FILE_NAME = "dataset.h5"

Array = NDArray[Any]

_SMALL = 1 << 26  # bytes of content that are compared at once, whether or not they are read


@dataclass(frozen=True)
class StoreInfo:
    """Description of a store.

    Attributes:
        hash: of the content and options that it was made from.
        content: the file, of which rows are read.
        sources: standard field name -> name in the data file.
        options: those of preprocessing.
        fields: those present, in their standard order.
        shared: those stored once for all frames.
        atomic_energies: atomic number -> reference energy, in the data's unit of energy, or None if there are none.
        isolated: the frames of isolated atoms that these energies are from.
        columns: what the data file has; empty in stores of before.
        files: the data files and where each begins; one without a name where there is one, or in stores of before.
    """

    hash: str
    content: SealedFile
    num_frames: int
    sources: dict[str, str]
    options: dict[str, Any]
    fields: tuple[str, ...]
    shared: frozenset[str]
    atomic_energies: dict[int, float] | None
    isolated: tuple[int, ...]
    columns: ArrayTypes
    files: tuple[FileStart, ...]

    def files_named(self, paths: Sequence[Path]) -> tuple[FileStart, ...]:
        """Return the same files under the names that they have now; a file alone needs none."""
        if len(paths) < 2:
            return self.files
        return tuple(FileStart(str(path), start.first) for path, start in zip(paths, self.files, strict=True))


@contextmanager
def open_store(
    folder: Path, store_hash: str | None = None, *, whole: bool = False, file_name: str = FILE_NAME
) -> Iterator[tuple[StoreInfo, h5py.File]]:
    """Open a store and verify its layout and its hash; of its content all if it is small, else what is read.

    Its hash must be ``store_hash``, or else that in the name of the folder, if there is one. With ``whole`` all of the
    content is compared with its digests, however large it is.

    Raises:
        DataError: if there is no store, or it is cut short, damaged, of another layout, or of another hash.
    """
    path = folder / file_name
    sealed = SealedFile(path)
    if whole or sealed.size <= _SMALL:
        sealed.verify()
    content, asked = Content(sealed), store_hash or folder.name.partition("processed_dataset_")[2]
    try:
        with h5py.File(content, "r") as file:
            info = _read_info(file, sealed)
            if asked and info.hash != asked:
                raise unusable(path, f"has the hash {info.hash}, but {asked} is asked for")
            yield info, file
    except (AttributeError, IndexError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        if content.error is not None:
            raise content.error from error
        if isinstance(error, OSError | RuntimeError):
            raise
        # its seal is right, so somebody else wrote it
        raise unusable(path, f"does not hold what a processed data set does ({error!r})") from error


def stored_rows(file: h5py.File, info: StoreInfo, types: dict[str, torch.dtype]) -> dict[str, StoredRows]:
    """Return the rows of each field that is not shared, to be read, as the type of the field, when they are needed."""
    found = {}
    for name in (name for name in info.fields if name not in info.shared):
        dataset = file["fields"][name]
        rows, *row = dataset.shape
        chunk = dataset.chunks[0]
        # all at once, since HDF5 looks for each alone among all
        places: list[Any] = []
        dataset.id.chunk_iter(places.append)
        places.sort(key=lambda place: place.chunk_offset)
        dtype = torch.empty(0, dtype=types[name]).numpy().dtype
        offsets = np.array([place.byte_offset for place in places], dtype=np.int64)
        if len(offsets) != -(-rows // chunk):
            raise ValueError(f"{name} has {len(offsets)} chunks for {rows} rows")
        found[name] = StoredRows(info.content, rows, tuple(row), dataset.dtype, dtype, chunk, offsets)
    return found


def read_shared(file: h5py.File, name: str, dtype: torch.dtype) -> Tensor:
    """Read the rows of one frame that hold for all."""
    return torch.from_numpy(file["fields"][name][()]).to(dtype)


def read_families(file: h5py.File, info: StoreInfo) -> Tensor:
    """Read the number of the family of each frame, (n,), which the store was made with."""
    families = file["fields"][FAMILY]
    return torch.from_numpy(np.broadcast_to(families[()], info.num_frames).copy())


def read_neighbor_lists(file: h5py.File) -> dict[int, Tensor]:
    """Read the neighbor lists, (2, N (N - 1)) int64 by number of atoms N."""
    return {int(size): torch.from_numpy(edges[()].astype(np.int64)) for size, edges in file["neighbor_lists"].items()}


def _read_info(file: h5py.File, content: SealedFile) -> StoreInfo:
    energies, isolated = None, ()
    if "atomic_energies" in file:
        group = file["atomic_energies"]
        energies = dict(zip(group["Z"][()].tolist(), group["energy"][()].tolist(), strict=True))
        isolated = tuple(group["frames"][()].tolist()) if "frames" in group else ()
    fields = file["fields"]
    return StoreInfo(
        hash=str(file.attrs["hash"]),
        content=content,
        num_frames=int(file.attrs["num_frames"]),
        sources=json.loads(file.attrs["sources"]),
        options=json.loads(file.attrs["options"]),
        fields=tuple(name for name in FIELDS if name in fields and name != FAMILY),
        shared=frozenset(name for name in fields if fields[name].attrs["shared"] and name != FAMILY),
        atomic_energies=energies,
        isolated=isolated,
        columns=_types(json.loads(file.attrs.get("columns", "{}"))),
        files=tuple(FileStart(*start) for start in json.loads(file.attrs.get("files", '[["", 0]]'))),
    )


def _types(columns: dict[str, Any]) -> ArrayTypes:
    return {name: ArrayType(tuple(shape), np.dtype(kind), frames) for name, (shape, kind, frames) in columns.items()}
