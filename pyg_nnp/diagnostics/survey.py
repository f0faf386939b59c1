"""What a pass over all frames of a data file tells, before there is a configuration."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pyg_nnp.data.source import ArrayTypes, Block, add_types
from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.fields import MAY_BE_MISSING

_MOST = 2000  # frames of a sample


@dataclass(frozen=True)
class Survey:
    """What was seen of all frames.

    Attributes:
        num_frames: number of all frames.
        elements: atomic numbers that occur.
        isolated: atomic numbers of frames that are a single neutral atom with an energy.
        num_isolated: number of these frames.
        labelled: target, or ``Q`` -> number of the other frames that have all its labels.
        labels_of_isolated: target, or ``Q`` -> number of the isolated atoms that have all its labels.
        somewhere: targets, and ``Q``, of which there is a finite number.
        charges: total charges of the frames that are no isolated atoms.
        has_wires: whether a frame is periodic along one of its lattice vectors alone.
        sample: evenly spaced frames of several atoms; where there are none, of single ones.
        columns: what the frames have under the names of the file, where it is read frame by frame; else nothing.
    """

    num_frames: int
    elements: tuple[int, ...]
    isolated: tuple[int, ...]
    num_isolated: int
    labelled: Mapping[str, int]
    labels_of_isolated: Mapping[str, int]
    somewhere: frozenset[str]
    charges: tuple[float, ...]
    has_wires: bool
    sample: Block
    columns: ArrayTypes


def survey(blocks: Iterable[Block]) -> Survey:
    """Look at all frames once."""
    num_frames, num_isolated, has_wires = 0, 0, False
    elements, isolated, charges = set[int](), set[int](), set[float]()
    labelled, of_isolated, somewhere = Counter[str](), Counter[str](), set[str]()
    molecules, atoms, columns = _Sample(), _Sample(), ArrayTypes()
    for block in blocks:
        N, Za = block.arrays["N"], block.arrays["Za"]
        Q = np.nan_to_num(block.arrays.get("Q", np.zeros(len(N))))  # 0 where it is missing
        pbc = block.arrays.get("pbc", np.zeros((len(N), 3))) != 0
        has_wires |= bool((pbc.sum(axis=1) == 1).any())
        is_isolated = (N == 1) & (Q == 0) & ~pbc.any(axis=1)
        is_isolated &= np.isfinite(block.arrays["E"]) if "E" in block.arrays else False
        for name in (name for name in MAY_BE_MISSING if name in block.arrays):
            has = block.has(name)
            labelled[name] += int((has & ~is_isolated).sum())
            of_isolated[name] += int((has & is_isolated).sum())
            somewhere |= {name} if np.isfinite(block.arrays[name]).any() else set()
        num_frames, num_isolated = num_frames + len(N), num_isolated + int(is_isolated.sum())
        elements.update(np.unique(Za).tolist())
        isolated.update(Za[np.repeat(is_isolated, N)].tolist())
        charges.update(np.unique(Q[~is_isolated]).tolist())
        add_types(columns, block.columns)
        molecules.add(block, N > 1)
        atoms.add(block, N == 1)
    sample = molecules if molecules.count else atoms
    return Survey(
        num_frames,
        tuple(sorted(elements)),
        tuple(sorted(isolated)),
        num_isolated,
        labelled,
        of_isolated,
        frozenset(somewhere),
        tuple(sorted(charges)),
        has_wires,
        Block(0, sample.arrays()),
        columns,
    )


class _Sample:
    """Every s-th frame of many; s grows with their number."""

    def __init__(self) -> None:
        self.count = 0
        self._step, self._numbers = 1, np.zeros(0, dtype=np.int64)
        self._parts: list[dict[str, Array]] = []

    def add(self, block: Block, wanted: Array) -> None:
        """Add the (G,) wanted frames of a block."""
        numbers = self.count + np.cumsum(wanted) - 1
        self.count += int(wanted.sum())
        chosen = wanted & (numbers % self._step == 0)
        self._parts.append(block.only(chosen))
        self._numbers = np.concatenate((self._numbers, numbers[chosen]))
        while len(self._numbers) > _MOST:
            self._step *= 2
            kept = self._numbers % self._step == 0
            self._parts, self._numbers = [Block(0, self.arrays()).only(kept)], self._numbers[kept]

    def arrays(self) -> dict[str, Array]:
        """Return all that was kept, in one."""
        return {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
