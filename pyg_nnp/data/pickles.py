"""Pickles read without running what they contain.

A pickle is a program: it may call anything that can be imported. Here only the names listed below can be called, and
numpy's own constructors are replaced, because they trust the pickle: an array of objects made from raw bytes, or a
dtype with forged flags, reads memory that is not its own.
"""

import math
import pickle
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_nnp.errors import DataError

_DTYPE = re.compile(r"[biufcSUO]\d*")
_ADVICE = {
    "torch": "Store tensors as numpy arrays: tensor.numpy().",
    "pandas": "Store the table as a dict of lists: frame.to_dict('list').",
    "ase": "Write the structures with ase.io.write('dataset.extxyz', ...) and set data_format: extxyz.",
}


def load_pickle(path: Path) -> Any:
    """Read a pickle of numbers, texts, numpy arrays and plain containers.

    Args:
        path: the file.

    Returns:
        What the file holds; arrays may be of a subclass of ``numpy.ndarray``.

    Raises:
        DataError: if the file is no pickle, is damaged, holds more than one object, or asks for anything else than
            numbers, texts, numpy arrays and containers. Nothing that it asks for is run.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
            has_more = bool(file.read(1))
    except _RefusedError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # what a damaged pickle raises is anything
        raise DataError(f"{path}: this is not a pickle, or it is damaged ({type(error).__name__}: {error}).") from error
    if has_more:
        raise DataError(f"{path}: more data follows the first object. Store all frames in one list, with one dump().")
    return content


class _RefusedError(Exception):
    """The pickle asks for something that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        advice = _ADVICE.get(module.partition(".")[0], "Store numbers, texts, lists, dicts and numpy arrays only.")
        raise _RefusedError(f"the pickle asks for {module}.{name}, which is not run. {advice}")


class _Dtype:
    """Stands for a ``numpy.dtype``, whose state could forge its flags."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise _RefusedError(f"the pickle has an array of type {code!r}. Store arrays of numbers or text only.")
        self._code = code
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]  # all else in the state follows from the code
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"a byte order {order!r}")
        self.dtype = np.dtype(order + self._code)


class _Array(np.ndarray[Any, Any]):
    """An array that checks what it is filled with."""

    __slots__ = ()  # without a dict of its own it costs no more than an ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self.size:
            raise ValueError("an array that is filled twice")
        _, shape, stand_in, is_fortran, content = state
        dtype: np.dtype[Any] = stand_in.dtype
        if min(shape, default=0) < 0:
            raise ValueError(f"an array of shape {shape}")
        if dtype.kind == "O":
            if not isinstance(content, list) or len(content) != math.prod(shape):
                raise ValueError("an array of objects that does not match its shape")
        elif not isinstance(content, bytes | str):
            raise ValueError("an array of numbers without its bytes")
        checked: Any = (1, shape, dtype, bool(is_fortran), content)
        super().__setstate__(checked)


def _reconstruct(subtype: object, shape: object, code: object) -> _Array:
    """Stand in for numpy's function of this name: an empty array, which its state then fills."""
    return _Array((0,), "b")


def _from_buffer(
    buffer: bytes | bytearray, dtype: _Dtype, shape: tuple[int, ...], order: str, axes: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Stand in for numpy's ``_frombuffer``; ``frombuffer`` itself refuses objects."""
    array = np.frombuffer(buffer, dtype.dtype)
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: _Dtype, content: bytes | str) -> Any:
    """Stand in for numpy's function of this name."""
    real = dtype.dtype
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, real, count=1)[0] if real.itemsize else real.type()


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, with which old protocols write bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"the pickle asks for the text encoding {encoding!r}, which is not run.")
    return text.encode("latin1")


_CONTAINERS = (set, frozenset, list, dict, bytes, bytearray, complex, float, int, range)
_ALLOWED: dict[tuple[str, str], Callable[..., Any] | str] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever the first argument of _reconstruct: not to be called
    ("numpy", "dtype"): _Dtype,
}
for _module in ("builtins", "__builtin__"):  # the second in protocols below 3
    _ALLOWED |= {(_module, kind.__name__): kind for kind in _CONTAINERS}
_ALLOWED["__builtin__", "xrange"] = range
for _module in ("numpy.core", "numpy._core"):  # numpy 1 and 2
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _from_buffer
