"""Batches of frames."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_nnp.data.frames import Frames
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
