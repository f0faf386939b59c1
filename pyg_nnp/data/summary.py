"""What a data set holds, in words and numbers, for the log."""

from typing import TYPE_CHECKING

import torch
from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.fields import FIELDS

if TYPE_CHECKING:
    from pyg_nnp.data.dataset import MoleculeDataset


def summarize(dataset: "MoleculeDataset") -> list[str]:
    """Describe a data set.

    Returns:
        Lines of text: frames, atoms, elements with counts, then each field with the name it has in the data file, its
        kind of unit, minimum, maximum and mean.
    """
    sizes: Tensor = dataset.N
    low, high = int(sizes.min()), int(sizes.max())
    per_frame = f"{low} in each frame" if low == high else f"{low} to {high} in a frame"
    counts = enumerate(dataset.Za.bincount().tolist())
    rows = [
        ("frames", f"{len(dataset)}"),
        ("atoms", f"{int(sizes.sum())}, {per_frame}"),
        ("elements", ", ".join(f"{chemical_symbols[Z]} {count}" for Z, count in counts if count)),
    ]
    rows += [(name, _describe(dataset, name)) for name in dataset.fields if name not in ("N", "Za")]
    return [f"{what:<10}{text}" for what, text in rows]


def _describe(dataset: "MoleculeDataset", name: str) -> str:
    values: Tensor = getattr(dataset, name)
    low, high = (float(bound) for bound in values.aminmax())
    mean = float(values.mean(dtype=torch.float64))
    source = f"'{dataset.sources[name]}'" if name in dataset.sources else "not in the file, set to 0"
    field = FIELDS[name]
    meaning = field.meaning.partition(";")[0]
    return f"{meaning}, {source}, [{field.unit}]: min {low:.6g}, max {high:.6g}, mean {mean:.6g}"
