"""Predictions for structures without labels."""

import logging
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS, TARGETS
from pyg_nnp.inference.prediction_files import WRITERS, Arrays
from pyg_nnp.inference.structures import Structures
from pyg_nnp.potential.predictor import ATOMS_TO_EVALUATE, Predictor, recorded
from pyg_nnp.runtime.files import refuse_existing

log = logging.getLogger(__name__)


def predict_file(
    predictor: Predictor,
    structures: Path,
    out: Path,
    charge: float | None = None,
    on_frames: Callable[[int], None] = lambda count: None,
) -> int:
    """Predict all outputs of a potential for the structures of a file; memory holds some of them at a time.

    Args:
        predictor: in evaluation mode.
        structures: positions are in the unit of the training data in the formats that training reads with names of the
            user's own, and in the format of the training data; in any other file that ASE reads they are in Å.
        out: ``.xyz`` or ``.extxyz``: in eV and Å, for ASE; ``.npz``, ``.h5`` or ``.hdf5``: in the units of the training
            data, frames one after the other under standard names.
        charge: total charge of all structures [e]; None takes that of the file, and 0 where it has none.
        on_frames: called with the number of frames that are done.

    Returns:
        The number of structures.

    Raises:
        ConfigError: ``out`` is there already, or of a format that is not known.
        DataError: the structures cannot be read, or the potential cannot predict them.
        OSError: it cannot be written.
    """
    write = WRITERS.get(out.suffix.lower())
    if write is None:
        raise ConfigError(f"-o {out}: the ending says the format. Known: {', '.join(WRITERS)}.")
    refuse_existing(out)
    source, done = Structures(predictor, structures, charge), 0

    def frames() -> Iterator[Arrays]:
        nonlocal done
        for arrays in _predicted(predictor, source):
            yield arrays
            done += len(arrays["N"])
            on_frames(done)

    write(out, frames(), predictor.units)
    source.report()
    return done


def _predicted(predictor: Predictor, source: Structures) -> Iterator[Arrays]:
    """Yield the frames with all predicted fields, some thousand atoms at a time."""
    predict, first = recorded(predictor), 0
    for arrays in chain.from_iterable(map(_pieces, source)):
        count = len(arrays["N"])
        try:
            predicted = predict(_batch(arrays, predictor.device))
        except DataError as error:
            of = f"frame {first}" if count == 1 else f"frames {first} to {first + count - 1}"
            raise DataError(f"{source.path}: {of}: {error}") from error
        yield arrays | {name: predicted[name].cpu().numpy() for name in TARGETS if name in predicted}
        first += count


def _pieces(arrays: Arrays) -> Iterator[Arrays]:
    """Cut frames into pieces of at most :data:`ATOMS_TO_EVALUATE` atoms, or one frame if it has more."""
    sizes = arrays["N"]
    ends = np.concatenate(([0], np.cumsum(sizes)))
    first = 0
    while first < len(sizes):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + ATOMS_TO_EVALUATE, side="right")) - 1)
        rows = {"atom": slice(ends[first], ends[last]), "graph": slice(first, last)}
        yield {name: values[rows[FIELDS[name].level]] for name, values in arrays.items()}
        first = last


def _batch(arrays: Arrays, device: torch.device) -> Data:
    data = Data(**{name: torch.from_numpy(values).to(device) for name, values in arrays.items()})
    data.num_nodes = len(arrays["Za"])
    data.batch = torch.arange(len(data.N), device=device).repeat_interleave(data.N)  # (A,)
    return data
