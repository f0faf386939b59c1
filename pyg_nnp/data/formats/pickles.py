"""Pickles of a list of dicts, one for each frame, or of a dict of columns, read without running what they contain.

A pickle is a program: it may call anything that can be imported. Here it calls the functions of
``pickle_constructors`` and nothing else, and what it makes stays in proportion to the file.
"""

import math
import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from pyg_nnp.data.formats.cells import cell_names
from pyg_nnp.data.formats.columns import Table, as_column, require
from pyg_nnp.data.formats.format import Format, frame_blocks, types_in, value_type
from pyg_nnp.data.formats.pickle_constructors import ALLOWED, Array, Dtype, RefusedError, plain_keys
from pyg_nnp.data.formats.values import Origin
from pyg_nnp.data.source import ArrayTypes, Block
from pyg_nnp.errors import DataError

_ADVICE = {
    "torch": "Store tensors as numpy arrays: tensor.numpy().",
    "pandas": "Store the table as a dict of lists: frame.to_dict('list').",
    "ase": "Write the structures with ase.io.write('dataset.extxyz', ...) and set data_format: extxyz.",
}
# Bytes for each byte of the file, beyond _SPARE: what calls make, and what the content is without shared parts.
# Whoever refers to one array from every frame stores others with each.
_MOST_MADE, _MOST_WRITTEN_OUT, _SPARE = 2, 16, 1 << 20
_DEEPEST = 100
_PYTHON: Any = pickle._Unpickler


def load_pickle(path: Path) -> Any:
    """Read a pickle of numbers, texts, numpy arrays and plain containers; nothing else that it asks for is run.

    Arrays may be of a subclass of ``numpy.ndarray``, and each mapping is a dict.

    Raises:
        DataError: if the file is no pickle, is damaged, holds more than one object, asks for anything else, or would
            take far more memory than it has bytes.
    """
    try:
        with path.open("rb") as file:
            content = unpickle(file, path.stat().st_size)
            has_more = bool(file.read(1))
    except RefusedError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # what a damaged pickle raises is anything
        raise DataError(f"{path}: this is not a pickle, or it is damaged ({type(error).__name__}: {error}).") from error
    if has_more:
        raise DataError(f"{path}: more data follows the first object. Store all frames in one list, with one dump().")
    return content


def unpickle(file: IO[bytes], size: int) -> Any:
    """Read the next object of a file, of ``size`` bytes, as :func:`load_pickle` does.

    Raises:
        RefusedError: it asks for something else than numbers, texts, arrays and containers, or for too much memory.
        Exception: it is damaged.
    """
    content = _Unpickler(file, size).load()
    _check_written_out(content, _MOST_WRITTEN_OUT * size + _SPARE)
    return content


class _Unpickler(_PYTHON):  # type: ignore[misc]
    """The unpickler in Python.

    The one in C fills up to 64 GB for an index of 4 bytes, and ends the process for keys that are nested deeply, before
    anything here is asked.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_PYTHON.dispatch)

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(file, encoding="latin1")
        self._size = size
        self._left = _MOST_MADE * size + _SPARE

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        advice = _ADVICE.get(module.partition(".")[0], "Store numbers, texts, lists, dicts and numpy arrays only.")
        raise RefusedError(f"the pickle asks for {module}.{name}, which is not run. {advice}")

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        made = self.stack[-1](*arguments)
        self._count(made)
        self.stack[-1] = made

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Array | Dtype):
            raise RefusedError(f"the pickle changes an object of type {type(target).__name__}, which is not done.")
        target.__setstate__(state)
        self._count(target)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_items(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def load_additems(self) -> None:
        items = plain_keys(self.pop_mark())
        self.stack[-1].update(items)

    def load_frozenset(self) -> None:
        self.append(frozenset(plain_keys(self.pop_mark())))

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        if length > self._size:
            raise ValueError(f"{length} bytes in a file of {self._size}")
        self.append(bytearray(self.read(length)))

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise ValueError(f"items of a {type(target).__name__}")
        target.update(zip(plain_keys(items[::2]), items[1::2], strict=True))

    def _count(self, made: Any) -> None:
        """Refuse what takes much more memory than the file that made it."""
        if isinstance(made, np.ndarray | np.generic):
            # an array may have many rows of no bytes
            self._left -= max(made.nbytes, math.prod(length or 1 for length in made.shape))
        elif isinstance(made, bytes | bytearray | dict | frozenset | range | set):
            self._left -= len(made)
        if self._left < 0:
            raise RefusedError(f"the pickle asks for much more memory than the {self._size} bytes that it has.")

    def load_unneeded(self) -> None:
        raise ValueError("an instruction that arrays, numbers and containers do not need")


for _name in ("reduce", "build", "dict", "setitem", "setitems", "additems", "frozenset", "bytearray8"):
    _Unpickler.dispatch[getattr(pickle, _name.upper())[0]] = getattr(_Unpickler, f"load_{_name}")
# other ways to call something, or to get at objects of the process
for _name in ("inst", "obj", "newobj", "newobj_ex", "persid", "binpersid", "ext1", "ext2", "ext4", "next_buffer"):
    _Unpickler.dispatch[getattr(pickle, _name.upper())[0]] = _Unpickler.load_unneeded


def _check_written_out(content: Any, most: float) -> None:
    """Refuse content whose shared parts amount to too much where each is written out, or never end."""
    sizes: dict[int, float] = {}

    def size_of(value: Any, depth: int) -> float:
        if isinstance(value, np.ndarray) and value.dtype != object:
            return value.nbytes + 1
        if isinstance(value, str | bytes | bytearray | range):
            return len(value) + 1
        if not isinstance(value, list | tuple | dict | set | frozenset | np.ndarray):
            return 1
        if depth > _DEEPEST:
            raise RefusedError(f"the pickle is nested more than {_DEEPEST} deep, or holds itself.")
        if id(value) not in sizes:
            parts: Iterable[Any] = value.flat if isinstance(value, np.ndarray) else value
            parts = chain(value, value.values()) if isinstance(value, dict) else parts
            sizes[id(value)] = 1 + sum(size_of(part, depth + 1) for part in parts)
        return sizes[id(value)]

    if size_of(content, 0) > most:
        raise RefusedError("the pickle refers to the same parts so often that they do not fit in memory.")


def _read(path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]) -> Iterator[Block]:
    content = _frames_or_columns(path)
    if not isinstance(content, dict):
        yield from frame_blocks(path, content, mapping, frames_per_block, optional, with_cells=True)
        return
    origin = Origin(str(path), mapping, optional=optional)
    names = [key for key in content if isinstance(key, str)]
    require(origin, names)
    columns = {name: as_column(content[source]) for name, source in mapping.items()}
    cells = {name: as_column(content[name]) for name in cell_names(names, mapping.values())}
    yield from Table(origin, columns, cells).blocks(frames_per_block)


def _array_types(path: Path) -> ArrayTypes:
    content = _frames_or_columns(path)
    if not isinstance(content, dict):
        return types_in(content)
    return {name: value_type(value) for name, value in content.items() if isinstance(name, str)}


def _frames_or_columns(path: Path) -> dict[Any, Any] | Sequence[dict[Any, Any]]:
    content = load_pickle(path)
    expected = "expected a list of dicts, one per frame, or a dict of columns"
    if isinstance(content, np.ndarray) and content.dtype == object:
        # whoever saves a list of frames through numpy gets an array, and one of no axes from a dict
        content = content.tolist()
    if isinstance(content, dict):
        # a dict of frames, by their names, instead of a list
        is_of_frames = content and all(isinstance(frame, dict) for frame in content.values())
        return list(content.values()) if is_of_frames else content
    if not isinstance(content, list | tuple):
        raise DataError(f"{path}: the pickle holds an object of type {type(content).__name__}; {expected}.")
    for i, frame in enumerate(content):
        if not isinstance(frame, dict):
            raise DataError(f"{path}: frame {i} is of type {type(frame).__name__}; {expected}.")
    return content


# From protocol 2 on a pickle begins with its number; before, with a list or dict, perhaps in a tuple, or an object.
_MAGIC = rb"\x80[\x02-\x05]|\(?(?:\([ld]p\d|[\]}]q\x00|c(?:\w+\.[\w.]+|collections|copy_reg)\n\w+\n)"
FORMAT = Format("pickle", "a pickle", _MAGIC, _read, _array_types)
