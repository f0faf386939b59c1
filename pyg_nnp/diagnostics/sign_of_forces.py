"""Whether the forces in some frames of a data file are gradients, before there is a configuration."""

import numpy as np

from pyg_nnp.data.formats.collections import Collection
from pyg_nnp.data.formats.guess import is_gradient
from pyg_nnp.data.source import Block
from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.diagnostics.force_units import slope_of, stiffness_of_bonds
from pyg_nnp.diagnostics.guesses import few_frames, labelled
from pyg_nnp.diagnostics.near_frames import is_clear, near_pairs, nearest_pairs


def sign_of_forces(sample: Block, source: str, known: Collection | None) -> tuple[bool, str]:
    """Return whether ``Fa`` are gradients, minus the forces, and what tells it: the data, its collection, or its name.

    Args:
        sample: some frames.
        source: the name of ``Fa`` in the file.
        known: the collection whose layout the file has.
    """
    if found := _likely_gradient(sample):
        return found
    if known is not None and known.fields.get("Fa") == source:
        return known.is_gradient, f"as {known.name} has it"
    return is_gradient(source), "by the name"


def _likely_gradient(block: Block) -> tuple[bool, str] | None:
    """Return whether ``Fa`` are gradients, minus the forces, and what tells it; None where nothing does.

    It is the differences of energies between near frames, else the forces on stretched bonds of hydrogen.
    """
    with_forces = labelled(block, "Fa")
    if "E" in block.arrays:
        work, differences = _between_near_frames(labelled(with_forces, "E"))
        near = slope_of(differences, work)
        if is_clear(near):
            return near.slope < 0, "by the energies of near frames"
    bond = stiffness_of_bonds([few_frames(with_forces)], None, None)[0] if with_forces.num_frames else None
    return None if bond is None else (bond.slope < 0, "by the stretching of bonds of hydrogen")


def _between_near_frames(block: Block) -> tuple[Array, Array]:
    """Return (P,) the work and (P,) the differences of the energies between near frames."""
    arrays, ends = block.arrays, np.cumsum(block.arrays["N"])
    molecules: dict[bytes, list[int]] = {}
    for frame, Za in enumerate(np.split(arrays["Za"], ends[:-1])):
        molecules.setdefault(Za.tobytes(), []).append(frame)
    rows = [np.zeros((3, 0))]
    for frames in (frames for frames in molecules.values() if len(frames) > 1):
        atoms = (ends - arrays["N"])[frames][:, None] + np.arange(arrays["N"][frames[0]])
        Ra, Fa = (arrays[name][atoms].astype(float) for name in ("Ra", "Fa"))
        work, apart, i, j = near_pairs(Ra, Fa)
        E = arrays["E"][frames].astype(float)
        rows.append(np.stack((work, apart, E[j] - E[i])))
    work, apart, differences = np.concatenate(rows, axis=1)
    eps = np.finfo(np.float32).eps * np.abs(arrays["Ra"]).max(initial=0)
    nearest = nearest_pairs(apart, 10 * eps)
    return work[nearest], differences[nearest]
