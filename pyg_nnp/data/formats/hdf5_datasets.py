"""HDF5 files of unknown origin: opened, listed, and each data set checked before it is read."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pyg_nnp.data.formats.values import check_packed
from pyg_nnp.data.source import ArrayType, ArrayTypes, Origin
from pyg_nnp.errors import DataError

_METADATA_CACHE = 1 << 20, 128 << 20  # bytes: as a rule, and where the names in one group take more
_SMALL = 1 << 20  # bytes, which any data set may claim
_WITHIN = (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)
_DEEPEST = 100  # groups; HDF5 itself goes down until the stack is full

Datasets = dict[str, h5py.h5d.DatasetID]
Found = tuple[str, h5py.h5g.GroupID, Datasets]


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file of unknown origin."""
    try:
        with h5py.File(path, "r", rdcc_nbytes=0) as file:  # each chunk is read once
            # by default what is kept of groups, for the next time they are opened, grows to hundreds of MB
            cache = file.id.get_mdc_config()
            cache.min_size, cache.max_size = _METADATA_CACHE
            cache.initial_size = cache.min_size
            cache.set_initial_size = True
            cache.incr_mode = cache.decr_mode = 0  # it grows for what would fill it alone, and for nothing else
            file.id.set_mdc_config(cache)
            yield file
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a damaged file ends as anything
        raise DataError(f"{path}: this is not an HDF5 file, or it is damaged ({error}).") from error


def walk(path: Path, file: h5py.File, is_wanted: Callable[[str], bool], paths: Collection[str] = ()) -> Iterator[Found]:
    """Yield each group that has wanted data sets: its path, itself, and these data sets by their names.

    Groups come in the order of their paths; that of the file itself has none, and is called ``/`` where there are
    others. A soft link to a data set counts, but where a group has nothing else it is yielded without data sets: it
    may show again what another has. h5py's own ``visititems`` takes several times longer, and keeps a kilobyte for each
    group.

    Wanted are names, as ``is_wanted`` tells, and ``paths``, from the group; from the file if they begin with ``/``.
    """
    return _Walk(path, file, is_wanted, paths).below(h5py.h5g.open(file.id, b"/"), "")


class _Walk:
    """The state of :func:`walk`, which goes down into groups."""

    def __init__(self, path: Path, file: h5py.File, is_wanted: Callable[[str], bool], paths: Collection[str]) -> None:
        self._path, self._file, self._is_wanted, self._paths = path, file, is_wanted, paths
        self._seen = {h5py.h5o.get_info(file.id).addr}
        self._has_safe_links = False
        if paths:
            self._check_links()

    def below(self, group: h5py.h5g.GroupID, place: str) -> Iterator[Found]:
        """Yield a group, and all below it; ``place`` is its path, and ends with ``/``."""
        found, linked, children = self._content(group, place)
        for path in self._paths:
            is_here = not (place and path.startswith("/"))
            if is_here and (dataset := _open(group, path.encode())) is not None:
                found[path] = dataset
        if found or linked:
            yield place.rstrip("/") or ("/" if children else ""), group, found and found | linked
        for link in children:
            name = link.decode(errors="surrogateescape")
            yield from self.below(h5py.h5g.open(group, link), f"{place}{name}/")

    def _content(self, group: h5py.h5g.GroupID, place: str) -> tuple[Datasets, Datasets, list[bytes]]:
        """Return wanted data sets of a group, those that soft links lead to, and its groups that were not seen yet."""
        links: list[tuple[bytes, int, int]] = []
        group.links.iterate(lambda link, info: links.append((link, info.type, info.u)), info=True)
        found: Datasets = {}
        linked: Datasets = {}
        children: list[bytes] = []
        for link, kind, address in links:
            name = link.decode(errors="surrogateescape")
            if fault := _fault(f"{place}{name}", kind):
                raise DataError(f"{self._path}: {fault}.")
            dataset = None
            if self._is_wanted(name):
                if kind == h5py.h5l.TYPE_SOFT:
                    self._check_links()  # it may lead anywhere
                dataset = _open(group, link)
            if dataset is not None:
                (found if kind == h5py.h5l.TYPE_HARD else linked)[name] = dataset
            elif kind == h5py.h5l.TYPE_HARD and address not in self._seen:
                its_type = h5py.h5o.get_info(group, link).type
                if its_type == h5py.h5o.TYPE_GROUP:
                    self._seen.add(address)
                    children.append(link)
                elif its_type == h5py.h5o.TYPE_DATASET and self._is_wanted(name):
                    raise DataError(f"{self._path}: the data set '{place}{name}' is damaged.")
        return found, linked, children

    def _check_links(self) -> None:
        """Refuse links to other files anywhere in the file, once."""

        def fault(link: bytes, info: Any) -> str | None:
            return _fault(link.decode(errors="surrogateescape"), info.type)

        # the visit ends at the first, but must not be left by an error
        if not self._has_safe_links and (found := self._file.id.links.visit(fault, info=True)):
            raise DataError(f"{self._path}: {found}.")
        self._has_safe_links = True


def first_datasets(path: Path, file: h5py.File) -> ArrayTypes:
    """Return name -> shape and type of the first data set of each name; of objects where it lies in other files."""
    first: ArrayTypes = {}
    for _, _, datasets in walk(path, file, lambda name: name not in first):
        for name, dataset in datasets.items():
            # no data set is kept open, of which there may be many
            elsewhere = _lies_elsewhere(dataset)
            of_array = ((), np.dtype(object)) if elsewhere else (dataset.shape or (), dataset.dtype)
            first[name] = ArrayType(*of_array)
    return first


def open_column(
    origin: Origin,
    name: str,
    datasets: Mapping[str, h5py.h5d.DatasetID],
    group: h5py.h5g.GroupID,
    frames_per_block: int,
) -> tuple[h5py.h5d.DatasetID, tuple[int, ...], h5py.h5t.TypeID]:
    """Return the data set of a field among those of a group, its shape and its type.

    h5py's own groups and data sets take several times longer, which counts where each frame has a group.
    """
    source = origin.names[name]
    dataset = datasets.get(source)
    if dataset is None:
        links: list[bytes] = []
        group.links.iterate(links.append)
        # what has the name is no data set, or leads nowhere
        known = [text for text in (link.decode(errors="replace") for link in links) if text != source]
        raise origin.error(origin.missing(name, known) + (origin.hint(name) if origin.group.strip("/") else ""))
    if _lies_elsewhere(dataset):
        raise origin.error(f"{origin.field(name)} lies in other files, which are not read. Store it in this one.")
    shape, in_file = dataset.shape, dataset.get_type()
    if shape is None:
        raise origin.error(f"{origin.field(name)} is empty.")
    is_large = math.prod(length or 1 for length in shape) * in_file.get_size() > _SMALL
    # what is in one piece has no place as long as nothing was written
    if is_large or (dataset.get_offset() is None and 0 not in shape):
        _check_stored(origin, name, h5py.Dataset(dataset), frames_per_block)
    return dataset, shape, in_file


def _lies_elsewhere(dataset: h5py.h5d.DatasetID) -> bool:
    """Return whether a data set lies in other files; even its shape may be there."""
    # what has a place in this file lies in no other; to ask for more takes as long as to open it
    if dataset.get_offset() is not None:
        return False
    layout = dataset.get_create_plist()
    return layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count() > 0  # type: ignore[no-any-return]


def _open(group: h5py.h5g.GroupID, link: bytes) -> h5py.h5d.DatasetID | None:
    """Open a data set; None for what is none, is damaged, or leads nowhere."""
    try:
        return h5py.h5d.open(group, link)
    except KeyError:
        return None


def _fault(link: str, kind: int) -> str | None:
    if kind not in _WITHIN:
        shown = link.encode(errors="surrogateescape").decode(errors="replace")
        return f"'{shown}' is a link to another file, which is not read"
    return f"groups are nested more than {_DEEPEST} deep" if link.count("/") > _DEEPEST else None


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
        raise origin.error(f"{origin.field(name)} has shape {column.shape}, but not all of it was written.")
    check_packed(origin, name, size, stored, is_whole=column.shape[:1] <= (frames_per_block,))
    if column.chunks:
        check_packed(origin, name, math.prod(column.chunks) * item, stored, is_whole=True)
