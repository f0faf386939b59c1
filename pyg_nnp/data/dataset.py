"""The data set: PyG's ``InMemoryDataset`` over flat rows, and its fast batches."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset

from pyg_nnp.data.descriptors import unique_rows
from pyg_nnp.data.formats.readers import data_files
from pyg_nnp.data.frames import load_frames, make_batch
from pyg_nnp.data.loader_processes import LoaderProcesses
from pyg_nnp.data.neighbor_lists import ListsInCells
from pyg_nnp.data.partition import stored_groups
from pyg_nnp.data.preprocess import preprocess
from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary, kept_summary, summarize

if TYPE_CHECKING:
    from pyg_nnp.config import Config

log = logging.getLogger(__name__)

_ATOMS_AT_ONCE = 1 << 18  # whose rows ``blocks`` reads


class MoleculeDataset(InMemoryDataset):  # type: ignore[misc]
    """Molecules with their properties, read from a store, which they may also stay in.

    ``dataset[i]`` is a ``Data`` with ``N`` (1,), ``Ra`` (N, 3), ``Za`` (N,), ``Q`` (1,), those of ``E`` (1,),
    ``Fa`` (N, 3), ``Qa`` (N,), ``M2`` (1, 3), ``S`` (1, 6) that the data set has, ``edge_index`` (2, N (N - 1)) and
    ``num_nodes``, in the units of the data. With cells there are ``cell`` (1, 3, 3) and ``pbc`` (1, 3), and after
    ``find_neighbors`` an ``edge_index`` (2, E) of the pairs within the cutoff, and ``Tij`` (E, 3). ``E``, ``Ra`` and
    ``cell`` are float64 whatever ``dtype``. Frames and batches never share memory with the data set. ``dataset.Ra`` and
    so on are the rows of all frames, one after the other, always in memory; ``blocks`` yields them piece by piece.

    Args:
        store_folder: what ``preprocess`` returned.
        dtype: of charges, forces, dipoles.
        transform: called on each ``Data`` before it is handed out, as in every data set of PyG. A data set with a
            transform batches frame by frame.
        in_memory: whether all frames are read now, or each from the store when it is needed; None: now if they take at
            most half of the free memory.
        num_workers: processes that read batches from the store; 0: this process does. They start at the
            first batch and live as long as the data set, or until ``close``.

    Attributes:
        fields: the fields that every frame has, by standard name.
        sources: standard field name -> name in the data file, for the fields that were mapped.
        atomic_energies: atomic number -> reference energy, from the CSV file or isolated atoms; None without them.
        hash: of the content and options that the store was made from.
        source: the data files, for messages.

    Raises:
        DataError: if there is no store, or it is damaged, incomplete, or of another version. Of a store of more than
            64 MiB each part is compared with its digest when it is first read.
    """

    def __init__(
        self,
        store_folder: Path | str,
        dtype: torch.dtype = torch.float32,
        transform: Callable[[Any], Any] | None = None,
        in_memory: bool | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(root=str(store_folder), transform=transform)
        self._data = Data()  # PyG's own place for values, which cannot express that frames share some
        self.folder = Path(store_folder)
        self._frames, info = load_frames(self.folder, dtype, in_memory)
        self.info, self.fields, self.sources = info, info.fields, info.sources
        self.hash, self.atomic_energies = info.hash, info.atomic_energies
        self.source = DataSource(str(store_folder), info.sources, starts=info.files)
        self._subset: Tensor | None = None
        self._summarize: Callable[..., DatasetSummary] = partial(kept_summary, self.folder, info.content.digest, dtype)
        self._summary: DatasetSummary | None = None
        self.num_workers = 0 if self.in_memory else num_workers
        self._processes = LoaderProcesses()

    @classmethod
    def from_config(cls, config: "Config", out: Path | str = ".") -> "MoleculeDataset":
        """Open the data set of a configuration, preprocessed into a folder in ``out`` as :func:`preprocess` does."""
        dataset = cls.opened(config, preprocess(config, Path(out)))
        text = "Batches are made in the training process, from data in memory; no loader processes are needed."
        if not dataset.in_memory:
            makers = f"{dataset.num_workers} loader processes" if dataset.num_workers else "the training process"
            size = f"{dataset._frames.stored_bytes / 1e9:.3g} GB in memory"
            text = f"Batches are made by {makers}, from data in {dataset.folder}, which would take {size}."
        log.info("%s", text)
        return dataset

    @classmethod
    def opened(cls, config: "Config", folder: Path) -> "MoleculeDataset":
        """Open the data set of a configuration whose store was made or found just before."""
        trainer, hub = config.Trainer, config.Datahub
        dataset = cls(folder, getattr(torch, trainer.dtype), None, hub.in_memory, trainer.num_workers)
        # the store may be from a time when the files had other names
        files = dataset.info.files_named(data_files(hub.path, hub.data_format))
        dataset.source = DataSource(str(hub.path), dataset.sources, starts=files)
        return dataset

    @property
    def summary(self) -> DatasetSummary:
        """What is known of all frames, kept with the store; that of a subset or a copy is made anew."""
        if self._summary is None:
            self._summary = self._summarize(self.blocks(self.fields))
        return self._summary

    @property
    def molecules(self) -> Tensor:
        """(n,) the frames that parts are drawn from: all but the isolated atoms that reference energies are from."""
        frames, isolated = torch.arange(len(self)), torch.tensor(self.info.isolated, dtype=torch.int64)
        return frames[~torch.isin(self._of_all(frames), isolated)] if len(isolated) else frames

    def groups(self, method: str) -> Tensor:
        """Return (n,) a number for the ``formula``, the ``group`` or the file (``files``) of each frame."""
        if method == "formula":
            return torch.from_numpy(unique_rows(self.summary.counts)[1])
        return stored_groups(method, self.folder, self.info, self._of_all(torch.arange(len(self))))

    @property
    def elements(self) -> list[int]:
        """The atomic numbers that occur, in ascending order."""
        return [int(Z) for Z in self.summary.elements]

    @property
    def max_atoms(self) -> int:
        """Number of atoms of the largest molecule."""
        return int(self._frames.sizes.max())

    @property
    def in_memory(self) -> bool:
        """Whether all frames are in memory, and none is read when it is asked for."""
        return self._frames.stored_bytes == 0

    def len(self) -> int:
        """Return the number of frames, those outside a subset included."""
        return self._frames.num_frames

    def get(self, idx: int) -> Data:
        """Return frame ``idx``, counted over all frames, those outside a subset included."""
        chosen = self._frames.select(torch.tensor([idx]))
        data = Data.from_dict({name: self._frames.gather(name, chosen) for name in self.fields})
        for name, (values, _) in self._frames.edges(chosen).items():  # of a frame alone they need no shift
            data[name] = values
        data.num_nodes = int(chosen.sizes)
        return data

    def batch(self, indices: Tensor | Sequence[int]) -> Batch:
        """Return (G,) frames as one batch, equal to ``Batch.from_data_list([self[i] for i in indices])`` but fast.

        Raises:
            IndexError: if there is nothing in ``indices``, or a frame that does not exist.
        """
        indices = torch.as_tensor(indices, dtype=torch.int64)
        if indices.dim() != 1 or not len(indices) or int(indices.min()) < 0 or int(indices.max()) >= len(self):
            raise IndexError(f"a batch takes one or more frames from 0 to {len(self) - 1}, got {indices.tolist()}")
        if self.transform is not None:
            return Batch.from_data_list([self[i] for i in indices.tolist()])
        return make_batch(self._frames, self._of_all(indices), self.fields)

    def batches(self, indices: Tensor, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the frames ``indices``, (n,), in batches; a generator shuffles them anew at each call."""
        if generator is not None:
            indices = indices[torch.randperm(len(indices), generator=generator)]
        yield from self.batches_of([indices[k : k + batch_size] for k in range(0, len(indices), batch_size)])

    def batches_of(self, parts: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield a batch of each of ``parts``, (G,) frames."""
        if self.num_workers and self._frames.device.type == "cpu":
            yield from self._processes.batches(self, parts)
        else:
            yield from map(self.batch, parts)

    def find_neighbors(self, reach: float) -> None:
        """Search for the neighbors of all frames nearer than ``reach`` [length], if they have cells.

        Without, a potential searches for those of each batch anew. An infinite reach is left to it, too.
        """
        lists, is_wanted = self._frames.neighbor_lists, "cell" in self.fields and reach < math.inf
        if is_wanted and not (isinstance(lists, ListsInCells) and lists.reach >= reach):
            start = perf_counter()
            self._frames = self._frames.with_neighbors(reach)
            self.close()
            log.info("%s: neighbors of %d frames found in %.1f s", self.folder, len(self), perf_counter() - start)

    def close(self) -> None:
        """End the loader processes, if there are any; the next batches start new ones."""
        self._processes.close()

    def blocks(self, names: Sequence[str], indices: Tensor | None = None) -> Iterator[dict[str, Tensor]]:
        """Yield field -> its rows in some frames at a time, of all or of ``indices``, (n,); not transformed."""
        indices = torch.arange(len(self)) if indices is None else indices
        at_once = max(1, _ATOMS_AT_ONCE // self.max_atoms)
        for first in range(0, len(indices), at_once):
            chosen = self._frames.select(self._of_all(indices[first : first + at_once]))
            yield {name: self._frames.gather(name, chosen) for name in names}

    def index_select(self, idx: Any) -> "MoleculeDataset":
        """Return the subset that slices, lists, index arrays or boolean masks select; memory is shared with it."""
        part: MoleculeDataset = super().index_select(idx)
        part._subset = torch.as_tensor(list(part.indices()), dtype=torch.int64)
        part._summarize, part._summary, part.source = summarize, None, replace(self.source, starts=())
        return part

    def copy(self, idx: Any = None) -> "MoleculeDataset":
        """Return a deep copy of the data set, or of the part of it that ``idx`` selects, which is then in memory."""
        part = self.index_select(slice(None) if idx is None else idx)
        part._frames = part._frames.subset(part._of_all(torch.arange(len(part))))
        isolated = set(range(len(part))) - set(part.molecules.tolist())
        part.info = replace(self.info, isolated=tuple(sorted(isolated)))
        part._indices = part._subset = None
        part.num_workers = 0
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

    def __getstate__(self) -> dict[str, Any]:
        # copies, also those of pickle and of subsets, have loader processes of their own
        return self.__dict__ | {"_processes": LoaderProcesses()}

    def __getattr__(self, key: str) -> Any:
        frames = self.__dict__.get("_frames")
        if frames is not None and key in frames.values:
            return frames.gather(key, frames.select(self._of_all(torch.arange(len(self)))))
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{key}'")

    def _of_all(self, indices: Tensor) -> Tensor:
        """Turn indices of a subset into those of all frames."""
        return indices if self._subset is None else self._subset[indices.cpu()]
