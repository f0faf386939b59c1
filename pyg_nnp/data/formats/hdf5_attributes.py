"""What the attributes of an HDF5 file, of its groups and of its data sets say: units, cells and total charges."""

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

from pyg_nnp.data.formats.cells import cell_names
from pyg_nnp.data.formats.unit_texts import UNIT_NAMES, Statement, Statements, unit_text
from pyg_nnp.data.source import Origin
from pyg_nnp.data.total_charge import charge_names, charge_of
from pyg_nnp.errors import DataError

_LARGEST = 1 << 12  # bytes of a value


def unit_attributes(owner: h5py.HLObject) -> dict[str, Any]:
    """Return the attributes that may be the text of a unit."""
    if not h5py.h5a.get_num_attrs(owner.id):
        return {}
    attributes: Any = owner.attrs
    return _small(attributes, [name for name in attributes if "unit" in name.lower()], 1)


def unit_of_array(name: str, dataset: h5py.Dataset) -> Statements:
    """Return the unit that a data set of some name says, if it says one."""
    for key, value in unit_attributes(dataset).items():
        if key.lower() in UNIT_NAMES and (text := unit_text(value)):
            return {name: Statement(text, f"attribute '{key}' of '{name}'")}
    return {}


def cells_of_attributes(origin: Origin, group: h5py.Group) -> dict[str, Any]:
    """Return what the attributes of a group say of cells, which hold for all frames in it.

    Args:
        origin: of the frames.
        group: or the file.

    Returns:
        Name, one of :func:`pyg_nnp.data.formats.cells.cell_names` -> value.

    Raises:
        DataError: they say a total charge other than 0, and none is read from the data sets.
    """
    if not h5py.h5a.get_num_attrs(group.id):
        return {}
    attributes: Any = group.attrs
    names = list(attributes)
    is_read = "Q" in origin.names
    if is_read and "Q" in origin.optional and origin.names["Ra"] in group:
        is_read = origin.names["Q"] in group  # or in those of other frames alone
    charges = {} if is_read else _small(attributes, charge_names(names), 1)
    for name, value in charges.items():
        if charge := _charge(name, value):
            instead = f"Store it as a data set '{name}', or remove the attribute"
            raise origin.error(f"the attribute '{name}' is {charge:g}, but attributes are not read. {instead}.")
    # with an axis of its own, it is not taken for one row for each frame
    return {name: np.asarray(value)[None] for name, value in _small(attributes, cell_names(names), 9).items()}


def _small(attributes: Any, names: Iterable[str], most: int) -> dict[str, Any]:
    """Return the attributes of some names that have at most so many values."""
    found: dict[str, Any] = {}
    for name in names:
        with suppress(Exception):  # of a type that h5py does not know
            about = attributes.get_id(name)
            is_small = about.dtype.itemsize <= _LARGEST and math.prod(about.shape) <= most
            found |= {name: attributes[name]} if is_small else {}
    return found


def _charge(name: str, value: Any) -> float | None:
    try:
        return charge_of({name: value})
    except DataError:  # of some other thing
        return None
