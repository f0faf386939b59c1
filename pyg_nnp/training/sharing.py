"""The frames that each of several processes has of a batch, or of a part that is evaluated."""

import math
from collections.abc import Sequence
from heapq import heapreplace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

# atoms in Å³ of organic molecules and water
_DENSITY = 0.1
# what an atom costs besides its pairs, in pairs
_ATOM = 10.0


class Share(NamedTuple):
    """What a process has of a batch."""

    frames: Tensor  # (g,) their numbers
    is_spare: bool = False  # they do not count: there are fewer frames than processes


def shares_of_batches(dataset: "MoleculeDataset", potential: Potential, parts: Sequence[Tensor]) -> list[Share]:
    """Return the share of this process of each batch, dealt out by pairs; all of it where there is one process."""
    if processes.count() == 1:
        return [Share(frames) for frames in parts]
    costs, number = _costs(dataset, potential), processes.number()
    shares = [dealt(costs[frames], processes.count())[number] for frames in parts]
    # a process without a frame does as the others do, so that its tables of filters stay the same as theirs
    return [Share(f[own]) if len(own) else Share(f[:1], is_spare=True) for f, own in zip(parts, shares, strict=True)]


def share_of_part(dataset: "MoleculeDataset", potential: Potential, frames: Tensor) -> Tensor:
    """Return the frames that this process evaluates of a part, (n,): as many and as large ones as the others."""
    if processes.count() == 1:
        return frames
    order = _costs(dataset, potential)[frames].argsort(descending=True, stable=True)
    return frames[order[processes.number() :: processes.count()].sort().values]


def dealt(costs: Tensor, processes: int) -> list[Tensor]:
    """Deal out things with some costs, (n,), so that some processes have about the same.

    Each goes to the process that has least so far, the most expensive ones first.

    Returns:
        For each process the numbers of its things, in ascending order; some may have none.
    """
    loads, shares = [(0.0, process) for process in range(processes)], [list[int]() for _ in range(processes)]
    # a heap as it is
    numbers = costs.tolist()
    for thing in sorted(range(len(numbers)), key=lambda thing: -numbers[thing]):
        load, process = loads[0]
        shares[process].append(thing)
        heapreplace(loads, (load + numbers[thing], process))
    return [torch.tensor(sorted(share), dtype=torch.int64) for share in shares]


def _costs(dataset: "MoleculeDataset", potential: Potential) -> Tensor:
    """Return about how long each frame takes, (n,), in pairs: of all atoms, or, in large ones, within the cutoff."""
    N = torch.from_numpy(dataset.summary.sizes).double()  # (n,)
    reach = potential.reach * potential.units.likely_length  # [Å]
    neighbors = N - 1 if math.isinf(reach) else (N - 1).clamp_max(_DENSITY * 4 / 3 * math.pi * reach**3)
    return N * (neighbors + _ATOM)
