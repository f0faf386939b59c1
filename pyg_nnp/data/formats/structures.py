"""Structures without labels, to be predicted: from data files as training has them, or whatever ASE reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ase.io import iread

from pyg_nnp.data.block import Block
from pyg_nnp.data.formats.ase_atoms import fields_of, refuse_periodic
from pyg_nnp.data.formats.frame_dicts import frame_blocks
from pyg_nnp.data.formats.readers import FORMATS, file_names, format_of, read_blocks
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES

# formats of the readers in which names and units are the user's own
OWN_NAMES = tuple(one.name for one in FORMATS.values() if one.frames is None)


def structure_blocks(path: Path, features: Mapping[str, str]) -> Iterator[Block]:
    """Read structures piece by piece.

    Args:
        path: a data file of any format of the readers, or any file that ASE reads.
        features: standard name -> name in the file. In files that ASE reads positions and elements are always under
            ASE's own names.

    Yields:
        Blocks of ``N``, ``Za``, ``Ra`` and ``Q``, which is 0 where the file has none, in the units of the file.

    Raises:
        DataError: it cannot be read, lacks a name, or has periodic cells.
    """
    data_format = format_of(path)
    if data_format in OWN_NAMES:
        names = file_names(path, data_format)
        wanted = [name for name in FEATURES if name in ("Ra", "Za") or features.get(name) in names]
        blocks = read_blocks(path, data_format, {name: features[name] for name in wanted})
    else:
        charge = features.get("Q", "charge")
        read = FORMATS[data_format].frames if data_format else None
        frames = ({charge: 0.0, **frame} for frame in (read or _other_frames)(path))
        blocks = frame_blocks(path, frames, {"Ra": "positions", "Za": "numbers", "Q": charge})
    for block in blocks:
        block.arrays.setdefault("Q", block.arrays["N"] * 0.0)
        yield block


def _other_frames(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for frame, atoms in enumerate(iread(path)):
            refuse_periodic(path, frame, atoms.pbc)
            yield fields_of(atoms)
    except DataError:
        raise
    except Exception as error:  # each of ASE's readers has its own
        raise DataError(f"{path}: ASE cannot read this file ({type(error).__name__}: {error}).") from error
