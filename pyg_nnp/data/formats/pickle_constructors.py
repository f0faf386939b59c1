"""What a pickle may call: functions in place of numpy's and Python's own that check their arguments.

numpy's constructors read memory that is not theirs for an array of objects made from raw bytes or for a dtype with
forged flags; ``bytes`` takes as much memory as it is told.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPE = re.compile(r"[biufcSUO]\d*")


class RefusedError(Exception):
    """The pickle asks for something that is not on the list."""


class Dtype:
    """In place of ``numpy.dtype``, whose state could forge its flags."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise RefusedError(f"the pickle has an array of type {code!r:.40}. Store arrays of numbers or text only.")
        self._code = code
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]  # all else in the state follows from the code
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"a byte order {order!r}")
        self.dtype = np.dtype(order + self._code)


class Array(np.ndarray[Any, Any]):
    """An array that checks what it is filled with."""

    __slots__ = ()  # without a dict of its own it costs no more than an ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self.size:
            raise ValueError("an array that is filled twice")
        _, shape, wrapped, is_fortran, content = state
        dtype: np.dtype[Any] = wrapped.dtype
        if min(shape, default=0) < 0:
            raise ValueError(f"an array of shape {shape}")
        if dtype.kind == "O":
            if not isinstance(content, list) or len(content) != math.prod(shape):
                raise ValueError("an array of objects that does not match its shape")
            if any(isinstance(item, np.ndarray) and item.dtype == object for item in content):
                # to free a long chain of them ends the process
                raise ValueError("an array of objects that are arrays of objects")
        elif not isinstance(content, bytes | str):
            raise ValueError("an array of numbers without its bytes")
        checked: Any = (1, shape, dtype, bool(is_fortran), content)
        super().__setstate__(checked)


def _reconstruct(subtype: object, shape: object, code: object) -> Array:
    """Return an empty array, which its state then fills."""
    return Array((0,), "b")


def _from_buffer(
    buffer: bytes | bytearray, dtype: Dtype, shape: tuple[int, ...], order: str, axes: tuple[int, ...] | None = None
) -> NDArray[Any]:
    array = np.frombuffer(buffer, dtype.dtype)  # which refuses objects
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Dtype, content: bytes | str) -> Any:
    real = dtype.dtype
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, real, count=1)[0] if real.itemsize else real.type()


def _encode(text: str, encoding: str) -> bytes:
    """Replace ``_codecs.encode``, with which old protocols write bytes."""
    if encoding != "latin1":
        raise RefusedError(f"the pickle asks for the text encoding {encoding!r}, which is not run.")
    return text.encode("latin1")


def plain_keys(keys: Iterable[Any]) -> list[Any]:
    """Return keys of a dict or members of a set; the hash of nested tuples recurses without a limit."""
    plain = list(keys)
    for key in plain:
        if isinstance(key, tuple) and any(isinstance(part, tuple) for part in key):
            raise RefusedError("the pickle has tuples of tuples as keys. Use texts or numbers.")
    return plain


def _mapping(*arguments: Any) -> dict[Any, Any]:
    """Replace ``OrderedDict``, which Python 2 calls with its items, and for ``defaultdict`` of some type."""
    pairs = [pair for items in arguments if isinstance(items, list) for pair in items]
    return dict(zip(plain_keys(key for key, _ in pairs), (value for _, value in pairs), strict=True))


def _bytearray(content: bytes | str = b"", encoding: str = "latin-1") -> bytearray:
    return bytearray(content.encode("latin-1") if isinstance(content, str) else memoryview(content))


ALLOWED: dict[tuple[str, str], Callable[..., Any] | str] = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _mapping,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever the first argument of _reconstruct: not to be called
    ("numpy", "dtype"): Dtype,
}
for _module in ("builtins", "__builtin__"):  # the second in protocols below 3
    # the types of a defaultdict, not to be called either
    ALLOWED |= {(_module, name): name for name in ("list", "dict", "float", "int")}
    ALLOWED[_module, "set"] = lambda items=(): set(plain_keys(items))
    ALLOWED[_module, "frozenset"] = lambda items=(): frozenset(plain_keys(items))
    ALLOWED[_module, "bytes"] = lambda content=b"": content
    ALLOWED[_module, "bytearray"] = _bytearray
    ALLOWED[_module, "complex"] = lambda real, imag: complex(real, imag)
    ALLOWED[_module, "range"] = ALLOWED[_module, "xrange"] = lambda *ends: range(*ends)
for _module in ("numpy.core", "numpy._core"):  # numpy 1 and 2
    ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _reconstruct
    ALLOWED[f"{_module}.multiarray", "scalar"] = _scalar
    ALLOWED[f"{_module}.numeric", "_frombuffer"] = _from_buffer
