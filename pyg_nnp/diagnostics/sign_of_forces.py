"""Whether the forces in some frames of a data file are gradients, before there is a configuration."""

from collections.abc import Iterator

import numpy as np

from pyg_nnp.data.formats.collections import Collection
from pyg_nnp.data.formats.guess import is_gradient
from pyg_nnp.data.source import Block
from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.diagnostics.force_units import slope_of, stiffness_of_bonds
from pyg_nnp.diagnostics.guesses import few_frames, labelled
from pyg_nnp.diagnostics.near_frames import is_clear, near_pairs, nearest_pairs, work_in_cells


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
        for work, differences in _between_near_frames(labelled(with_forces, "E")):
            near = slope_of(differences, work)
            if is_clear(near):
                return near.slope < 0, "by the energies of near frames"
    bond = stiffness_of_bonds([few_frames(with_forces)], None, None)[0] if with_forces.num_frames else None
    return None if bond is None else (bond.slope < 0, "by the stretching of bonds of hydrogen")


def _between_near_frames(block: Block) -> Iterator[tuple[Array, Array]]:
    """Yield (P,) the work and (P,) the differences of the energies between near frames: of crystals, and by shapes."""
    arrays, ends = block.arrays, np.cumsum(block.arrays["N"])
    pbc = arrays.get("pbc", np.zeros((len(ends), 3))) != 0
    eps = np.finfo(np.float32).eps * np.abs(arrays["Ra"]).max(initial=0)
    molecules: dict[bytes, list[int]] = {}
    # without frames there is one part, too
    for frame, Za in enumerate(np.split(arrays["Za"], ends[:-1])[: len(ends)]):
        molecules.setdefault(Za.tobytes() + pbc[frame].tobytes(), []).append(frame)
    of_cells, of_shapes = [np.zeros((2, 0))], [np.zeros((3, 0))]
    for frames in (frames for frames in molecules.values() if len(frames) > 1):
        atoms = (ends - arrays["N"])[frames][:, None] + np.arange(arrays["N"][frames[0]])
        Ra, Fa = (arrays[name][atoms].astype(float) for name in ("Ra", "Fa"))
        E = arrays["E"][frames].astype(float)
        if pbc[frames[0]].any():
            found = work_in_cells(Ra, Fa, arrays["cell"][frames], pbc[frames[0]], E[None], 10 * eps)
            of_cells += [] if found is None else [np.stack((found[0], *found[2]))]
        work, apart, i, j = near_pairs(Ra, Fa)
        of_shapes.append(np.stack((work, apart, E[j] - E[i])))
    work, differences = np.concatenate(of_cells, axis=1)
    yield work, differences
    work, apart, differences = np.concatenate(of_shapes, axis=1)
    nearest = nearest_pairs(apart, 10 * eps)
    yield work[nearest], differences[nearest]
