# mypy: allow-untyped-calls
"""Comment lines of extended XYZ, as ASE parses them; what it would read as something else is a message."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pyg_nnp.errors import DataError

_SHOWN = 60  # characters of a value in a message
_OF_NINE = re.compile(r"Got info item (\w+), expecting special 3x3 matrix")  # what ASE says of other numbers
_VECTORS = "the three lattice vectors one after the other"
_TENSOR = "xx xy xz yx yy yz zx zy zz; six, xx yy zz yz xz xy, are read under another name, such as REF_"


def parse_comment(comment: str) -> dict[str, Any]:
    """Parse a comment line as ASE does.

    Raises:
        DataError: lattice vectors or periodic directions are there that ASE leaves out or misreads.
    """
    from ase.io.extxyz import key_val_str_to_dict

    try:
        found: dict[str, Any] = key_val_str_to_dict(comment)
    except ValueError as error:
        if not (named := _OF_NINE.search(str(error))):
            raise
        which = _VECTORS if named[1] == "Lattice" else f"{_TENSOR}{named[1]}"
        raise DataError(f"'{named[1]}' has to be nine numbers in quotes: {which}.") from error
    for name, value in found.items():
        is_lattice, is_pbc = name.lower() == "lattice" and np.size(value) == 9, name.lower() == "pbc"
        right = "Lattice" if is_lattice else "pbc" if is_pbc and "Lattice" in found else name
        if name != right:
            raise DataError(f"write '{right}' in place of '{name}', which ASE leaves out.")
    flags = np.ravel(found.get("pbc", True)).tolist()
    if len(flags) not in (1, 3) or not all(flag in (0, 1) for flag in flags):  # ASE takes any text for true
        what = f"'pbc' is '{' '.join(map(str, flags))[:_SHOWN]}', which ASE misreads"
        raise DataError(f'{what}. Write T or F for each lattice vector, as in pbc="T T F".')
    return found


def structures_in(path: Path) -> list[Atoms]:
    """Return all structures of any file that ASE reads.

    Raises:
        DataError: see :func:`parse_comment`. ASE's readers raise whatever they come upon.
    """
    import ase.io
    from ase.io.formats import filetype

    options: dict[str, Any] = {"properties_parser": parse_comment} if filetype(str(path)) == "extxyz" else {}
    return list(ase.io.iread(path, index=":", do_not_split_by_at_sign=True, **options))
