"""Structures without labels, read for predictions."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pyg_nnp.data.formats.ase_files import other_frames
from pyg_nnp.data.formats.format import Frame, frame_blocks
from pyg_nnp.data.formats.readers import FORMATS, OWN_NAMES, columns_of, data_files, format_of, read_blocks
from pyg_nnp.data.source import Block
from pyg_nnp.data.total_charge import charge_of
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES


def structure_blocks(path: Path, features: Mapping[str, str]) -> Iterator[Block]:
    """Read structures without labels, to be predicted: from a data file, or whatever ASE reads.

    ``features`` are their names in the file; where ASE reads it positions and elements are always under ASE's own, and
    the total charge of each is what :func:`pyg_nnp.data.total_charge.charge_of` finds.

    Yields:
        Blocks of ``N``, ``Za``, ``Ra`` and ``Q``, which is NaN where the file says none, in the units of the file.
    """
    data_format = format_of(path)
    if data_format in OWN_NAMES:
        names = columns_of(path, data_format)
        wanted = [name for name in FEATURES if name in ("Ra", "Za") or features.get(name) in names]
        blocks = read_blocks(path, data_format, {name: features[name] for name in wanted}, optional=["Q"])
    else:
        read = (FORMATS[data_format].frames if data_format else None) or other_frames
        files = data_files(path, data_format, tell=True)
        frames = _with_charges(path, (frame for file in files for frame in read(file)), features.get("Q"))
        blocks = frame_blocks(path, frames, {"Ra": "positions", "Za": "numbers", "Q": "Q"})
    for block in blocks:
        block.arrays.setdefault("Q", np.full(block.num_frames, np.nan))
        yield block


def _with_charges(path: Path, frames: Iterable[Frame], of_training: str | None) -> Iterator[Frame]:
    """Yield frames with their total charge as ``Q``, NaN where they say none."""
    for number, frame in enumerate(frames):
        try:
            charge = charge_of(frame, of_training)
        except DataError as error:
            raise DataError(f"{path}: frame {number}: {error}") from error
        yield {**frame, "Q": np.nan if charge is None else charge}
