"""HDF5 files of unknown origin: opened, listed, and each data set checked before it is read."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from pyg_nnp.data.values import Origin, check_packed
from pyg_nnp.errors import DataError

_METADATA_CACHE = 1 << 20  # bytes
_SMALL = 1 << 20  # bytes, which any data set may claim
_DEEPEST = 100  # groups; HDF5 itself goes down until the stack is full


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file that reads nothing but itself.

    Raises:
        DataError: if it is no HDF5 file, is damaged, links to other files, or has groups nested without measure.
    """
    try:
        with h5py.File(path, "r", rdcc_nbytes=0) as file:  # each chunk is read once
            # by default what is kept of groups, for the next time they are opened, grows to hundreds of MB
            cache = file.id.get_mdc_config()
            cache.max_size = cache.min_size = cache.initial_size = _METADATA_CACHE
            cache.set_initial_size = True
            file.id.set_mdc_config(cache)
            _check_links(path, file)
            yield file
    except DataError:
        raise
    except Exception as error:  # a damaged file ends as anything
        raise DataError(f"{path}: this is not an HDF5 file, or it is damaged ({error}).") from error


def visit_datasets(file: h5py.File, visit: Callable[[str], None]) -> None:
    """Call ``visit`` with the path of each data set; unlike h5py's ``visititems`` without opening them."""

    def visit_object(path: bytes, info: Any) -> None:
        if info.type == h5py.h5o.TYPE_DATASET:
            visit(path.decode(errors="surrogateescape"))

    h5py.h5o.visit(file.id, visit_object, info=True)


def open_column(
    origin: Origin, name: str, group: h5py.h5g.GroupID, frames_per_block: int
) -> tuple[h5py.h5d.DatasetID, tuple[int, ...], h5py.h5t.TypeID]:
    """Open the data set of a field, and return its shape and type as well.

    h5py's own groups and data sets take several times longer, which counts where each frame has a group.

    Args:
        origin: where it comes from.
        name: the field.
        group: that it is in.
        frames_per_block: a data set of no more rows is read at once.

    Raises:
        DataError: if it is missing, lies in other files, or claims far more values than the file has bytes for.
    """
    try:
        dataset = h5py.h5d.open(group, origin.sources[name].encode())
    except KeyError:
        raise origin.error(origin.missing(name, list(h5py.Group(group)))) from None
    # what has a place in this file lies in no other; to ask for more takes as long as to open it
    if dataset.get_offset() is None and _lies_elsewhere(dataset.get_create_plist()):
        raise origin.error(f"{origin.named(name)} lies in other files, which are not read. Store it in this one.")
    shape, in_file = dataset.shape, dataset.get_type()
    if shape is None:
        raise origin.error(f"{origin.named(name)} is empty.")
    if math.prod(length or 1 for length in shape) * in_file.get_size() > _SMALL:
        _check_stored(origin, name, h5py.Dataset(dataset), frames_per_block)
    return dataset, shape, in_file


def _lies_elsewhere(layout: h5py.h5p.PropDCID) -> bool:
    return layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count() > 0  # type: ignore[no-any-return]


def _check_links(path: Path, file: h5py.File) -> None:
    def fault(link: bytes, info: Any) -> str | None:
        if info.type not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            return f"'{link.decode(errors='replace')}' is a link to another file, which is not read"
        return f"groups are nested more than {_DEEPEST} deep" if link.count(b"/") > _DEEPEST else None

    if found := file.id.links.visit(fault, info=True):  # which ends at the first
        raise DataError(f"{path}: {found}.")


def _check_stored(origin: Origin, name: str, column: h5py.Dataset, frames_per_block: int) -> None:
    """Refuse values that were never written, which would be zeros, and as many as the header says."""
    item, stored = column.dtype.itemsize, column.id.get_storage_size()
    size = column.size * item
    if column.chunks is None:
        is_complete = size <= stored
    else:
        numbers = (-(-length // chunk) for length, chunk in zip(column.shape, column.chunks, strict=True))
        is_complete = column.size > 0 and column.id.get_num_chunks() == math.prod(numbers)
    if not is_complete or stored > Path(origin.file).stat().st_size:
        raise origin.error(f"{origin.named(name)} has shape {column.shape}, but not all of it was written.")
    check_packed(origin, name, size, stored, is_whole=column.shape[0] <= frames_per_block)
    if column.chunks:
        check_packed(origin, name, math.prod(column.chunks) * item, stored, is_whole=True)
