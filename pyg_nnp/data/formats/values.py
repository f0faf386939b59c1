"""Values of one field: conversion to numbers, element symbols, removal of padding."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from pyg_nnp.data.charge_text import charge_in_text
from pyg_nnp.data.source import CONFLICT, Origin
from pyg_nnp.errors import did_you_mean
from pyg_nnp.fields import FIELDS

Array = NDArray[Any]

_MAX_WHOLE = 2.0**53  # beyond it a float no longer tells neighbouring whole numbers apart
MAX_ATOMS = 10_000
"""Atoms that a molecule of a data set may have; all their pairs are kept, which takes 1.6 GB for this many."""

# Positions have digits that no compression shortens: more is a file that was made to fill memory and disk.
# Padding with zeros can be compressed 1000 times, but is rarely most of an array.
_MOST_COMPRESSION, _MOST_WHOLE_BYTES = 200, 1 << 30
_NO_TYPES = " Or are there dummy atoms, or numbers of types in place of atomic numbers?"
_KINDS = {"b": "true or false", "c": "complex numbers", "U": "text", "S": "text", "V": "records", "O": "objects"}


def is_missing(item: Any) -> bool:
    """Return whether the value of a frame says that there is none: None, or NaN in the place of all its numbers."""
    is_number = isinstance(item, float | np.floating | np.ndarray) and np.shape(item) == ()
    return item is None or (is_number and np.asarray(item).dtype.kind == "f" and bool(np.isnan(item)))


def no_value(name: str, num_atoms: int) -> Array:
    """Return what stands for the missing value of one frame, in the shape of its field."""
    field = FIELDS[name]
    if field.dtype == "text":
        return np.array("")
    shape = (num_atoms, *field.shape) if field.level == "atom" else field.shape
    return np.full(tuple(map(int, shape)), np.nan)


def one_value(origin: Origin, name: str, frame: int, item: Any) -> Array:
    """Return the value of one frame in the shape of its field, (M, ...) for atoms; symbols become numbers."""
    named, field = origin.field(name), FIELDS[name]
    if item is None:
        raise origin.frame_error(frame, f"{named} is None; every frame needs a value.{origin.hint(name)}")
    if item is CONFLICT:
        raise origin.frame_error(frame, f"{named} is there twice, with different values. Remove or rename one.")
    if field.dtype == "text":
        item = item.item() if isinstance(item, np.ndarray) and item.size == 1 else item
        return np.array(item.decode(errors="replace") if isinstance(item, bytes) else str(item))
    try:
        value = np.asarray(item)
        value = np.asarray(value.tolist()) if value.dtype == object else value
        if value.dtype == object and name in origin.optional:
            value = value.astype(np.float64)  # None becomes NaN
    except (ValueError, TypeError):
        raise origin.frame_error(frame, f"{named} has rows of different lengths.") from None
    kind = value.dtype.kind
    if kind not in "iuf" and not (name in _OF_TEXTS and kind in "US"):
        raise origin.frame_error(frame, _not_numbers(named, value))
    own_axes = 1 if field.level == "atom" else 0
    if value.ndim < own_axes or not fits(value.shape[own_axes:], field.shape):
        expected = shape_text(*["atoms"] * own_axes, *field.shape)
        raise origin.frame_error(frame, f"{named} has shape {value.shape}, expected {expected}.")
    value = value.reshape((*value.shape[:own_axes], *field.shape))
    # converted here, since joining texts with the numbers of another frame would make text of both
    return _OF_TEXTS[name](origin, value, lambda row: frame) if kind in "US" else value


def to_numbers(origin: Origin, name: str, rows: Array, frame_of: Callable[[int], int]) -> Array:
    """Return rows, symbols for ``Za`` among them, as int64 for whole numbers, as text, or as at least float64."""
    kind = rows.dtype.kind
    if name in _OF_TEXTS and kind in "USO":
        return _OF_TEXTS[name](origin, rows, frame_of)
    if FIELDS[name].dtype == "text":
        items = rows.tolist()
        return np.array([item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in items])
    if kind not in "iuf":
        raise origin.error(_not_numbers(origin.field(name), rows))
    if FIELDS[name].dtype != "int":
        return rows.astype(np.result_type(rows.dtype, np.float64), copy=False)
    if kind != "i":
        bad = ~(np.abs(rows) < _MAX_WHOLE) | (rows != np.floor(rows))
        if bad.any():
            row = int(np.argmax(bad))
            what = f"{origin.field(name)} is {rows[row]}, which is not a whole number."
            raise origin.frame_error(frame_of(row), what)
    return rows.astype(np.int64, copy=False)


def _atomic_numbers(origin: Origin, symbols: Array, frame_of: Callable[[int], int]) -> Array:
    """Return the atomic numbers of element symbols, text or bytes; empty ones are padding, so 0."""
    items = symbols.tolist()
    numbers = {}
    for item in dict.fromkeys(items):
        text = item.decode(errors="replace") if isinstance(item, bytes) else str(item)
        symbol = text.strip()
        numbers[item] = atomic_numbers.get(symbol) or atomic_numbers.get(symbol.capitalize(), 0)
        if symbol and numbers[item] == 0:
            what = f"{origin.field('Za')} has '{symbol}', which is no element.{instead_of(symbol)}"
            raise origin.frame_error(frame_of(items.index(item)), what)
    return np.array([numbers[item] for item in items], dtype=np.int64)


def instead_of(symbol: str) -> str:
    """Return what to write in place of a text that is no element, as the end of a message."""
    if symbol.upper() in ("D", "T"):
        return " Write H for isotopes of hydrogen: energies do not depend on masses."
    if symbol.upper() in ("X", "BQ", "GH"):
        return " Leave out dummy and ghost atoms."
    if re.fullmatch(r"[\d.]+", symbol):
        return " Atomic numbers have to be numbers, not texts."
    return did_you_mean(symbol, atomic_numbers)


def _total_charges(origin: Origin, texts: Array, frame_of: Callable[[int], int]) -> Array:
    """Return the total charges that texts say."""
    items = texts.reshape(-1).tolist()
    charges = {}
    for item in dict.fromkeys(items):
        text = item.decode(errors="replace") if isinstance(item, bytes) else str(item)
        charge = charge_in_text(text)
        if charge is None:
            what = f"{origin.field('Q')} has '{text[:40]}', which is neither a charge nor a molecule in SMILES."
            raise origin.frame_error(frame_of(items.index(item)), what)
        charges[item] = charge
    return np.array([charges[item] for item in items]).reshape(texts.shape)


_OF_TEXTS = {"Za": _atomic_numbers, "Q": _total_charges}
"""Fields that texts may stand for, and how they are read."""


def count_atoms(origin: Origin, Za: Array, lengths: Array) -> Array:
    """Return the number of atoms of each frame, (n,), which zeros in ``Za`` may follow."""
    is_atom = Za != 0
    if is_atom.all():
        return lengths
    frames = np.repeat(np.arange(len(lengths)), lengths)
    N = np.bincount(frames[is_atom], minlength=len(lengths))
    misplaced = is_atom != (_positions(lengths) < N[frames])
    if misplaced.any():
        what = f"{origin.field('Za')} has a 0 before the last atom; padding must be at the end.{_NO_TYPES}"
        raise origin.frame_error(int(frames[np.argmax(misplaced)]), what)
    return N


def without_padding(origin: Origin, name: str, rows: Array, lengths: Array, N: Array, allowed: Array) -> Array:
    """Return the rows of atoms; only zeros (or NaN) may be left out.

    Of each frame there are the number of ``rows`` in ``lengths``, (n,), the number of atoms ``N``, (n,), and whether
    more rows than atoms are allowed, (n,).
    """
    if np.array_equal(lengths, N):
        return rows
    wrong = (lengths < N) | ((lengths > N) & ~allowed)
    if wrong.any():
        i = int(np.argmax(wrong))
        shape = (int(lengths[i]), *rows.shape[1:])
        raise origin.frame_error(i, f"{origin.field(name)} has shape {shape}, but the frame has {N[i]} atoms.")
    is_atom = _positions(lengths) < np.repeat(N, lengths)
    rest = rows[~is_atom]
    filled = (rest != 0) & ~np.isnan(rest)
    if filled.any():
        row = int(np.argmax(filled.reshape(len(rest), -1).any(axis=1)))
        i = int(np.searchsorted(np.cumsum(lengths - N), row, side="right"))
        what = f"{origin.field(name)} goes on after the frame's {N[i]} atoms; padding must be 0.{_NO_TYPES}"
        raise origin.frame_error(i, what)
    return rows[is_atom]


def check_packed(origin: Origin, name: str, size: int, stored: int, *, is_whole: bool) -> None:
    """Refuse positions, or more than a gigabyte at once, of some hundred times more bytes than what is stored."""
    too_large = size > _MOST_WHOLE_BYTES if is_whole else name == "Ra" and size > 1 << 20
    if too_large and size > _MOST_COMPRESSION * stored:
        what = f"{origin.field(name)} would take {size:,} bytes, for which the file has {stored:,}"
        raise origin.error(f"{what}; no data are packed so well.")


def check_sizes(origin: Origin, N: Array, least: int = 1) -> None:
    """Refuse molecules with fewer than ``least`` atoms or more than ``MAX_ATOMS``; N (n,) atoms, or rows, of each."""
    wrong = ~((least <= N) & (N <= MAX_ATOMS))
    if wrong.any():
        frame = int(np.argmax(wrong))
        many = f"it has {N[frame]} atoms; at most {MAX_ATOMS} are possible, since all pairs are kept"
        raise origin.frame_error(frame, f"{'there are no atoms' if N[frame] < least else many}.")


def fits(shape: tuple[int, ...], row: tuple[int | str, ...]) -> bool:
    """Return whether a shape is that of a field, apart from axes of length 1."""
    return tuple(size for size in shape if size != 1) == row


def shape_text(*sizes: int | str) -> str:
    """Write a shape in which sizes may be words."""
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _not_numbers(named: str, values: Array) -> str:
    found = _KINDS.get(values.dtype.kind, f"values of type {values.dtype}")
    example = f", such as {values.flat[0].item()!r:.40}," if values.dtype.kind in "US" and values.size else ""
    return f"{named} holds {found}{example} where numbers are expected."


def _positions(lengths: Array) -> Array:
    """Return for each row its number within its frame."""
    firsts: Array = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) - np.repeat(firsts, lengths))
