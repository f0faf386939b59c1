"""What a reader of data files consists of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.block import Block

Frame = Mapping[str, Any]
"""What a file has for one molecule, by the names of the file."""

ArrayTypes = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""Name in a file -> shape and type of its array."""


@dataclass(frozen=True)
class Format:
    """A format of data files.

    Attributes:
        name: as ``data_format`` has it.
        description: of such a file, in messages.
        magic: regular expression for its first bytes.
        read: from the file, the mapping of standard names to its own, and the largest number of frames in a block, to
            blocks of frames, as :func:`pyg_nnp.data.formats.readers.read_blocks` describes it.
        names: from the file to all its names.
        array_types: from the file to shape and type of the first array of each name, of objects where that is none.
        frames: from the file to its frames under the names of ASE, in Å; None where names and units are the user's.
    """

    name: str
    description: str
    magic: bytes
    read: Callable[[Path, Mapping[str, str], int], Iterator[Block]]
    names: Callable[[Path], list[str]]
    array_types: Callable[[Path], ArrayTypes]
    frames: Callable[[Path], Iterator[Frame]] | None = None
