"""The data set in memory: PyG's ``InMemoryDataset`` over flat tensors, and its fast batches."""

import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset

from pyg_nnp.data.frames import Frames
from pyg_nnp.data.preprocess import preprocess
from pyg_nnp.data.store import StoreInfo, open_store, read_neighbor_lists, read_rows
from pyg_nnp.fields import FIELDS

if TYPE_CHECKING:
    from pyg_nnp.config import Config

_NUMPY: dict[torch.dtype, type[np.generic]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
}


class MoleculeDataset(InMemoryDataset):  # type: ignore[misc]
    """Molecules with their properties, read from a store and held in memory.

    ``dataset[i]`` is a ``Data`` with ``N`` (1,), ``Ra`` (N, 3), ``Za`` (N,), ``Q`` (1,), those of ``E`` (1,),
    ``Fa`` (N, 3), ``Qa`` (N,), ``M2`` (1, 3) that the data set has, ``edge_index`` (2, N (N - 1)) and ``num_nodes``,
    in the units of the data. ``E`` is float64 whatever ``dtype``. What is taken out never shares memory with the data
    set. ``dataset.Ra`` and so on are the rows of all frames, one after the other.

    Args:
        store_folder: what ``preprocess`` returned.
        dtype: of positions, charges, forces, dipoles.
        transform: called on each ``Data`` before it is handed out, as in every data set of PyG. A data set with a
            transform batches frame by frame.

    Raises:
        DataError: if there is no store, or it is damaged, incomplete, or of another version.
    """

    def __init__(
        self,
        store_folder: Path | str,
        dtype: torch.dtype = torch.float32,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        folder = Path(store_folder)
        super().__init__(root=str(folder), transform=transform)
        # PyG's own place for values, which cannot express that frames share some
        self._data = Data()
        self.folder = folder
        self._frames, self.info = _load(folder, dtype)
        self._subset: Tensor | None = None

    @classmethod
    def from_config(cls, config: "Config", out: Path | str = ".") -> "MoleculeDataset":
        """Open the data set that a configuration describes, preprocessed first if necessary.

        Args:
            config: the configuration.
            out: the folder that has or gets ``processed_dataset_<hash>``.

        Raises:
            ConfigError: if the options contradict each other or name missing files.
            DataError: if the data file does not hold what it must.
        """
        return cls(preprocess(config, Path(out)), dtype=getattr(torch, config.Trainer.dtype))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that every frame has, by standard name."""
        return self.info.fields

    @property
    def sources(self) -> dict[str, str]:
        """Standard field name -> name in the data file, for the fields that were mapped."""
        return self.info.sources

    @property
    def atomic_energies(self) -> dict[int, float] | None:
        """Atomic number -> reference energy from the CSV file; None without one."""
        return self.info.atomic_energies

    @property
    def elements(self) -> list[int]:
        """The atomic numbers that occur, in ascending order."""
        elements: list[int] = torch.unique(self.Za).tolist()
        return elements

    @property
    def max_atoms(self) -> int:
        """Number of atoms of the largest molecule."""
        return int(self._frames.sizes.max())

    @property
    def hash(self) -> str:
        """Hash of the content and options that the store was made from."""
        return self.info.hash

    def len(self) -> int:
        """Return the number of frames in memory, those outside a subset included."""
        return self._frames.num_frames

    def get(self, idx: int) -> Data:
        """Return frame ``idx``, counted over all frames in memory."""
        chosen = self._frames.select(torch.tensor([idx]))
        data = Data()
        for name in self.fields:
            data[name] = self._frames.gather(name, chosen)
        # one frame, beginning with atom 0: the edges need no shift
        data.edge_index, _ = self._frames.edges(chosen)
        data.num_nodes = int(chosen.sizes)
        return data

    def batch(self, indices: Tensor | Sequence[int]) -> Batch:
        """Return frames as one batch, equal to ``Batch.from_data_list([dataset[i] for i in indices])`` but fast.

        Args:
            indices: (G,) which frames, each from 0 to ``len(dataset) - 1``.

        Raises:
            IndexError: if there is nothing in ``indices``, or a frame that does not exist.
        """
        indices = torch.as_tensor(indices, dtype=torch.int64)
        if indices.dim() != 1 or not len(indices) or int(indices.min()) < 0 or int(indices.max()) >= len(self):
            raise IndexError(f"a batch takes one or more frames from 0 to {len(self) - 1}, got {indices.tolist()}")
        if self.transform is not None:
            return Batch.from_data_list([self[i] for i in indices.tolist()])
        return _make_batch(self._frames, self._in_memory(indices), self.fields)

    def batches(self, indices: Tensor, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield all of ``indices`` in batches, the last of which may be smaller.

        Args:
            indices: (n,) which frames.
            batch_size: frames per batch, at least 1.
            generator: shuffles them anew at each call; None keeps their order.
        """
        if generator is not None:
            indices = indices[torch.randperm(len(indices), generator=generator)]
        for first in range(0, len(indices), batch_size):
            yield self.batch(indices[first : first + batch_size])

    def index_select(self, idx: Any) -> "MoleculeDataset":
        """Return the subset that slices, lists, index arrays or boolean masks select; memory is shared with it."""
        part: MoleculeDataset = super().index_select(idx)
        part._subset = torch.as_tensor(list(part.indices()), dtype=torch.int64)
        return part

    def copy(self, idx: Any = None) -> "MoleculeDataset":
        """Return a deep copy of the data set, or of the part of it that ``idx`` selects."""
        part = copy.copy(self) if idx is None else self.index_select(idx)
        part._frames = part._frames.subset(part._in_memory(torch.arange(len(part))))
        part._indices = part._subset = None
        return part

    def to(self, device: Any) -> "MoleculeDataset":
        """Move the data set to a device; batches are then made there."""
        self._frames = self._frames.to(torch.device(device))
        return self

    @property
    def data(self) -> Data:
        """All frames in one ``Data``, as PyG's collation would have them: edges not shifted."""
        data, _ = self.collate([self.get(i) for i in self.indices()])
        return data

    def load(self, path: str, data_cls: type[Data] = Data) -> NoReturn:
        """Not available: a data set is opened from its store."""
        raise NotImplementedError("open a MoleculeDataset from the folder of its store")

    def __getattr__(self, key: str) -> Any:
        frames = self.__dict__.get("_frames")
        if frames is not None and key in frames.values:
            return frames.gather(key, frames.select(self._in_memory(torch.arange(len(self)))))
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{key}'")

    def _in_memory(self, indices: Tensor) -> Tensor:
        """Turn indices of a subset into those of all frames in memory."""
        return indices if self._subset is None else self._subset[indices.cpu()]


def _load(folder: Path, dtype: torch.dtype) -> tuple[Frames, StoreInfo]:
    types = {"int": torch.int64, "float": dtype, "float64": torch.float64}
    with open_store(folder) as (info, file):
        values = {n: torch.from_numpy(read_rows(file, n, _NUMPY[types[FIELDS[n].dtype]])) for n in info.fields}
        lists = {size: torch.from_numpy(edges) for size, edges in read_neighbor_lists(file).items()}
    shared, sizes = set(info.shared), values["N"]
    if len(lists) == 1:
        # all frames have one size, whether or not the store was told to look
        shared.add("N")
        values["N"] = sizes = sizes[:1].clone()
    return Frames(values, frozenset(shared), sizes, info.num_frames, lists), info


def _make_batch(frames: Frames, indices: Tensor, fields: Sequence[str]) -> Batch:
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
    batch.edge_index, slices["edge_index"] = frames.edges(chosen)
    shifts["edge_index"] = chosen.ptr[:-1]
    sizes = chosen.sizes.tolist()
    batch.num_nodes = sum(sizes)
    batch.batch = graph_ptr[:-1].repeat_interleave(chosen.ptr.diff(), output_size=sum(sizes))
    batch.ptr = chosen.ptr
    # what Batch.from_data_list leaves behind for to_data_list and get_example
    batch._num_nodes = sizes
    batch._num_graphs, batch._slice_dict, batch._inc_dict = count, slices, shifts
    return batch
