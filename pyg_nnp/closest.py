"""How close atoms come, compared with the data that a potential was trained on."""

import logging

from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.functional.geometry import shortest_distances
from pyg_nnp.functional.neighbors import find_edges
from pyg_nnp.model import Potential

log = logging.getLogger(__name__)

# than in the training data, to be told
_CLOSER = 0.98


class ClosestWatch:
    """Remembers how close atoms of each two elements came, to say where that was closer than in the training data.

    Args:
        potential: which says how close they are there; those saved by older versions do not.
        length_unit: its unit of length [Å].
    """

    def __init__(self, potential: Potential, length_unit: float) -> None:
        closest = potential.spec.get("closest", ())
        self.known = {(int(Z1), int(Z2)): length_unit * distance for Z1, Z2, distance in closest}
        self.found: dict[tuple[int, int], float] = {}

    def look(self, Ra: Tensor, Za: Tensor, N: Tensor) -> None:
        """Look at molecules.

        Args:
            Ra: (A, 3) positions [Å].
            Za: (A,) atomic numbers.
            N: (G,) numbers of atoms.
        """
        if not self.known:
            return
        for elements, distance in shortest_distances(Ra, Za, find_edges(Ra, N, max(self.known.values()))).items():
            self.found[elements] = min(distance, self.found.get(elements, distance))

    def report(self, advice: str) -> None:
        """Warn of distances that are shorter than in the training data by more than a little."""
        closer = [
            f"{chemical_symbols[Z1]}-{chemical_symbols[Z2]} {self.found[Z1, Z2]:.3f} Å ({distance:.3f} Å there)"
            for (Z1, Z2), distance in self.known.items()
            if self.found.get((Z1, Z2), distance) < _CLOSER * distance
        ]
        if closer:
            where = "Atoms come closer than in the training data, where the potential has learned nothing"
            log.warning("%s: %s. %s", where, ", ".join(closer), advice)
