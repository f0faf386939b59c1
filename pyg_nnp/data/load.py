"""Opening the frames of a store: read into memory where they fit, else left in the file."""

from pathlib import Path

import torch
from torch import Tensor

from pyg_nnp.data.frames import Frames
from pyg_nnp.data.neighbors import NeighborLists
from pyg_nnp.data.store.layout import StoreInfo, open_store, read_neighbor_lists, read_shared, stored_rows
from pyg_nnp.data.store.rows import StoredRows
from pyg_nnp.fields import FIELDS
from pyg_nnp.runtime.memory import available_memory


def load_frames(
    folder: Path, dtype: torch.dtype, in_memory: bool | None = None, verify: bool = True
) -> tuple[Frames, StoreInfo]:
    """Open the frames of a store.

    Args:
        folder: of the store.
        dtype: of fields that follow the precision of training.
        in_memory: whether all rows are read now; None: where they take at most half of the free memory.
        verify: False where the checksum of the store was compared just before.

    Raises:
        DataError: if there is no store, or it is damaged, incomplete, or of another version.
    """
    types = {"int": torch.int64, "float": dtype, "float64": torch.float64}
    dtypes = {name: types[field.dtype] for name, field in FIELDS.items()}
    with open_store(folder, verify=verify) as (info, file):
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
        in_memory = sum(rows.nbytes for rows in stored.values()) <= available_memory() // 2
    values |= {name: rows.read_all() if in_memory else rows for name, rows in stored.items()}
    return Frames(values | {"N": sizes}, frozenset(shared), sizes, info.num_frames, NeighborLists(lists)), info
