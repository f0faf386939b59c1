"""Batches of frames, made here or in processes of their own."""

import signal
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import Batch, Data

from pyg_nnp.data.frames import Frames
from pyg_nnp.errors import UserError
from pyg_nnp.fields import FIELDS


def make_batch(frames: Frames, indices: Tensor, fields: Sequence[str]) -> Batch:
    """Return what ``Batch.from_data_list`` would make of some frames, without a loop over them.

    Args:
        frames: all frames.
        indices: (G,) which of them.
        fields: names of the fields that the batch gets.
    """
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


def made_by_processes(make: Callable[[Tensor], Batch], parts: Sequence[Tensor], num_workers: int) -> Iterator[Batch]:
    """Yield the batches that ``make`` makes of ``parts``, in their order, made ahead by processes.

    Args:
        make: called in one of the processes, which have a copy of what it refers to.
        parts: (G,) frames of each batch.
        num_workers: number of processes, at least 1.

    Raises:
        UserError: or an OSError, as ``make`` raised it.
    """
    # a generator of its own: otherwise the global one would be drawn from
    loader = DataLoader(
        _Parts(make),
        sampler=parts,
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=num_workers,
        generator=torch.Generator(),
        worker_init_fn=_leave_signals_to_the_parent,
    )
    for made in loader:
        if isinstance(made, Exception):
            raise made
        yield made


class _Parts(Dataset[Batch | Exception]):
    def __init__(self, make: Callable[[Tensor], Batch]) -> None:
        self._make = make

    def __getitem__(self, part: Tensor) -> Batch | Exception:
        try:
            return self._make(part)
        except (UserError, OSError) as error:
            # raised here, the process's traceback would become part of its message
            return error


def _leave_signals_to_the_parent(worker: int) -> None:
    """Go on where Ctrl-C, or a batch system, signals all processes at once: the parent saves first, then ends this."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _unchanged(made: Batch | Exception) -> Batch | Exception:
    return made
