"""HDF5 files: arrays of frames at the top level or in groups of any depth, each group with its own frames."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pyg_nnp.data.block import Block
from pyg_nnp.data.formats.format import ArrayTypes, Format
from pyg_nnp.data.formats.hdf5_datasets import first_datasets, open_hdf5
from pyg_nnp.data.formats.hdf5_groups import group_blocks


def _read(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    with open_hdf5(path) as file:
        yield from group_blocks(path, file, mapping, frames_per_block)


def _array_types(path: Path) -> ArrayTypes:
    with open_hdf5(path) as file:
        return first_datasets(path, file)


FORMAT = Format(
    "hdf5",
    "an HDF5 file",
    rb"\x89HDF\r\n\x1a\n",
    _read,
    names=lambda path: list(_array_types(path)),
    array_types=_array_types,
)
