"""All frames of a data set as flat rows, in memory or in a file, from which any frames are gathered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_nnp.data.neighbor_lists import ListsInCells, NeighborLists
from pyg_nnp.data.store.layout import StoreInfo, open_store, read_neighbor_lists, read_shared, stored_rows
from pyg_nnp.data.store.rows import StoredRows
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.geometry import offsets
from pyg_nnp.runtime import processes
from pyg_nnp.runtime.memory import available_memory


@dataclass(frozen=True)
class Selection:
    """Some frames, in some order, ready to be gathered.

    Attributes:
        frames: (G,) which frames.
        sizes: (G,) number of atoms of each, on the CPU.
        ptr: (G + 1,) first atom of each in the selection.
        atoms: (A,) their atoms among those of all frames; None where all frames have one size and rows are frames.
    """

    frames: Tensor
    sizes: Tensor
    ptr: Tensor
    atoms: Tensor | None


@dataclass(frozen=True)
class Frames:
    """Flat rows of n frames.

    Attributes:
        values: field -> its rows: (n, ...) of molecules, (A, ...) of atoms, or those of one frame where shared, which
            are always in memory, as ``N`` is.
        shared: the fields of which one frame's rows hold for all.
        sizes: (n,) int64 number of atoms of each frame, or (1,) where all have the same; always on the CPU.
        neighbor_lists: full ones; where there are cells those within a cutoff, or none before they are searched for.
    """

    values: dict[str, Tensor | StoredRows]
    shared: frozenset[str]
    sizes: Tensor
    num_frames: int
    neighbor_lists: NeighborLists | ListsInCells | None

    @property
    def size(self) -> int | None:
        """The number of atoms of every frame, or None where frames differ."""
        return int(self.sizes) if len(self.sizes) == 1 else None

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.values["Ra"].device

    @property
    def stored_bytes(self) -> int:
        """Bytes of memory that the rows in a file would take."""
        return sum(value.nbytes for value in self.values.values() if isinstance(value, StoredRows))

    def select(self, frames: Tensor) -> Selection:
        """Prepare to gather ``frames``, (G,) int64, each from 0 to n - 1."""
        count = len(frames)
        if self.size is not None:
            ptr = torch.arange(0, (count + 1) * self.size, self.size, device=self.device)
            return Selection(frames.to(self.device), self.sizes.expand(count), ptr, None)
        frames = frames.cpu()
        sizes = self.sizes.index_select(0, frames)
        ptr = offsets(sizes)
        first = self._first_atoms.index_select(0, frames)
        atoms = torch.repeat_interleave(first - ptr[:-1], sizes, output_size=int(ptr[-1])) + torch.arange(int(ptr[-1]))
        return Selection(frames.to(self.device), sizes, ptr.to(self.device), atoms.to(self.device))

    def gather(self, name: str, chosen: Selection) -> Tensor:
        """Return the rows of a field, one frame after the other, in memory of their own."""
        value = self.values[name]
        if isinstance(value, StoredRows):
            frames = chosen.frames.cpu()
            if FIELDS[name].level == "graph":
                return value.read(frames, torch.ones_like(frames))
            firsts = frames * self.size if self.size is not None else self._first_atoms[frames]
            return value.read(firsts, chosen.sizes)
        if name in self.shared:
            return value.repeat(len(chosen.frames), *(1,) * (value.dim() - 1))
        if FIELDS[name].level == "graph":
            return value.index_select(0, chosen.frames)
        if chosen.atoms is not None:
            return value.index_select(0, chosen.atoms)
        by_frame = value.view(self.num_frames, self.size or 0, *value.shape[1:])
        return by_frame.index_select(0, chosen.frames).flatten(0, 1)

    def subset(self, frames: Tensor) -> "Frames":
        """Return some frames, in memory and of their own; what all frames share stays shared."""
        chosen = self.select(frames)
        one = self.select(torch.tensor([0]))
        values: dict[str, Tensor | StoredRows] = {}
        values |= {name: self.gather(name, one if name in self.shared else chosen) for name in self.values}
        sizes = self.sizes if self.size is not None else chosen.sizes
        lists = self.neighbor_lists
        lists = lists.subset(frames) if isinstance(lists, ListsInCells) else lists
        return replace(self, values=values, sizes=sizes, num_frames=len(frames), neighbor_lists=lists)

    def with_neighbors(self, reach: float) -> "Frames":
        """Return the same frames with lists of the neighbors within ``reach`` [length] in their cells."""

        def geometry() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for frame in range(self.num_frames):
                chosen = self.select(torch.tensor([frame]))
                Ra, cell, pbc = (self.gather(name, chosen).cpu() for name in ("Ra", "cell", "pbc"))
                yield Ra, cell[0], pbc[0]

        return replace(self, neighbor_lists=ListsInCells.search(reach, geometry()).to(self.device))

    def edges(self, chosen: Selection) -> dict[str, tuple[Tensor, Tensor]]:
        """Return ``edge_index``, and in cells ``Tij``, of some frames, each with the first edge of each frame."""
        lists = self.neighbor_lists
        if lists is None:
            return {}
        if isinstance(lists, ListsInCells):
            edge_index, Tij, first = lists.batch(chosen.frames, chosen.ptr)
            return {"edge_index": (edge_index, first), "Tij": (Tij, first)}
        return {"edge_index": lists.batch(chosen.sizes, chosen.ptr)}

    def to(self, device: torch.device) -> "Frames":
        """Return the same frames on a device."""
        values = {name: value.to(device) for name, value in self.values.items()}
        return replace(self, values=values, neighbor_lists=self.neighbor_lists and self.neighbor_lists.to(device))

    @cached_property
    def _first_atoms(self) -> Tensor:
        return offsets(self.sizes)[:-1]


def load_frames(folder: Path, dtype: torch.dtype, in_memory: bool | None = None) -> tuple[Frames, StoreInfo]:
    """Open the frames of a store, with the options and errors of :class:`pyg_nnp.data.MoleculeDataset`."""
    types = {"int": torch.int64, "float": dtype, "float64": torch.float64}
    dtypes = {name: types[field.dtype] for name, field in FIELDS.items() if field.dtype in types}
    with open_store(folder) as (info, file):
        stored = stored_rows(file, info, dtypes)
        values: dict[str, Tensor | StoredRows] = {n: read_shared(file, n, dtypes[n]) for n in info.shared}
        lists = read_neighbor_lists(file)
        sizes = stored.pop("N").read_all() if "N" in stored else read_shared(file, "N", torch.int64)
    shared = set(info.shared)
    if len(lists) == 1:
        # all frames have one size, whether or not the store was told to look
        shared.add("N")
        sizes = sizes[:1].clone()
    if in_memory is None:
        in_memory = sum(rows.nbytes for rows in stored.values()) <= available_memory() // (2 * processes.local_count())
    values |= {name: rows.read_all() if in_memory else rows for name, rows in stored.items()}
    of_all = None if "cell" in info.fields else NeighborLists(lists)
    return Frames(values | {"N": sizes}, frozenset(shared), sizes, info.num_frames, of_all), info


def make_batch(frames: Frames, indices: Tensor, fields: Sequence[str]) -> Batch:
    """Return what ``Batch.from_data_list`` would make of the frames ``indices``, (G,), without a loop over them."""
    chosen = frames.select(indices)
    count = len(indices)
    graph_ptr = torch.arange(count + 1, device=frames.device)
    no_shift = torch.zeros(count, dtype=torch.int64, device=frames.device)
    batch = Batch(_base_cls=Data)
    slices: dict[str, Tensor] = {}
    shifts: dict[str, Tensor] = {}
    for name in fields:
        batch[name] = frames.gather(name, chosen)
        slices[name] = chosen.ptr if FIELDS[name].level == "atom" else graph_ptr
        shifts[name] = no_shift
    for name, (values, first) in frames.edges(chosen).items():
        batch[name], slices[name] = values, first
        shifts[name] = chosen.ptr[:-1] if name == "edge_index" else no_shift
    sizes = chosen.sizes.tolist()
    batch.num_nodes = sum(sizes)
    batch.batch = graph_ptr[:-1].repeat_interleave(chosen.ptr.diff(), output_size=sum(sizes))
    batch.ptr = chosen.ptr
    # what Batch.from_data_list leaves behind for to_data_list and get_example
    batch._num_nodes = sizes
    batch._num_graphs, batch._slice_dict, batch._inc_dict = count, slices, shifts
    return batch
