"""Structures without labels, read for predictions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from pyg_nnp.data.formats.ase_files import EXTXYZ, other_frames
from pyg_nnp.data.formats.files import text_lines
from pyg_nnp.data.formats.format import Frame, frame_blocks
from pyg_nnp.data.formats.readers import (
    FORMATS,
    OWN_NAMES,
    columns_of,
    data_files,
    format_of,
    formats_of,
    joined_blocks,
    read_blocks,
)
from pyg_nnp.data.source import Block
from pyg_nnp.data.total_charge import charge_of
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES
from pyg_nnp.runtime.data_path import DataPath


def structure_blocks(path: Path | DataPath, features: Mapping[str, str]) -> Iterator[Block]:
    """Read structures without labels, to be predicted: from data files of one format, or whatever ASE reads.

    ``features`` are their names in the file; where ASE reads it positions, elements and cells are always under ASE's
    own, and the total charge of each is what :func:`pyg_nnp.data.total_charge.charge_of` finds.

    Yields:
        Blocks of ``N``, ``Za``, ``Ra`` and ``Q``, which is NaN where the file says none, in the units of the file; and
        of ``cell`` and ``pbc`` if anything in the file is periodic, or ``cell`` is among the features.
    """
    data_format = format_of(path)
    if len(found := formats_of(path)) > 1:
        what = ", ".join(sorted(name or "another" for name in found))
        raise DataError(f"{path}: these files are of several formats: {what}. Predict those of each by themselves.")
    if data_format in OWN_NAMES:
        names = columns_of(path, data_format)
        wanted = [name for name in FEATURES if name in ("Ra", "Za") or features.get(name) in names]
        blocks = read_blocks(path, data_format, {name: features[name] for name in wanted}, optional=["Q"])
    else:
        read = (FORMATS[data_format].frames if data_format else None) or other_frames
        files = data_files(path, data_format, tell=True)
        mapping = {"Ra": "positions", "Za": "numbers", "Q": "Q"}
        if any(_may_be_periodic(file, read) for file in files):
            mapping["cell"] = "cell"
        frames = [_with_charges(file, read(file), features.get("Q")) for file in files]
        blocks = joined_blocks(files, [frame_blocks(*one, mapping) for one in zip(files, frames, strict=True)])
    for block in blocks:
        block.arrays.setdefault("Q", np.full(block.num_frames, np.nan))
        yield block


def _may_be_periodic(file: Path, read: Callable[[Path], Iterator[Frame]]) -> bool:
    """Return whether anything in a file may be periodic; of an XYZ file without a word for it nothing is."""
    if read is EXTXYZ.frames:
        with closing(text_lines(file)) as lines:
            return any("lattice" in line.lower() or "cell=" in line.lower() for line in lines)
    return any("cell" in frame for frame in read(file))


def _with_charges(path: Path, frames: Iterable[Frame], of_training: str | None) -> Iterator[Frame]:
    """Yield frames with their total charge as ``Q``, NaN where they say none."""
    for number, frame in enumerate(frames):
        try:
            charge = charge_of(frame, of_training)
        except DataError as error:
            raise DataError(f"{path}: frame {number}: {error}") from error
        yield {**frame, "Q": np.nan if charge is None else charge}
