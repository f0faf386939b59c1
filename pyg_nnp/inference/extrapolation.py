"""What a potential was trained with, and warnings of molecules that differ from those."""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor
from torch_geometric.data import Data

from pyg_nnp.errors import DataError
from pyg_nnp.fields import TARGETS
from pyg_nnp.functional.composition import formula
from pyg_nnp.functional.geometry import lengths, pair_distances, pair_vectors, shortest_distances, translation_vectors
from pyg_nnp.functional.neighbor_search import find_edges, find_edges_in_cells
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.runtime.logs import NOTICE
from pyg_nnp.units import Units

if TYPE_CHECKING:
    from pyg_nnp.data.summary import DatasetSummary
    from pyg_nnp.potential.predictor import Predictor

log = logging.getLogger(__name__)

CLOSER, FARTHER = 0.98, 1.4
"""Multiples of the shortest distance in the training data: a shorter one, or only longer ones, have a warning."""
TOO_CLOSE = "atoms come closer than in the training data, where the potential has learned nothing"
_FAR, _MOVED = 6.0, 0.25  # Å
# a potential that was trained on more compositions is made for others, too
_FEW_COMPOSITIONS = 20


def training_configuration(predictor: "Predictor") -> Mapping[str, Any]:
    """Return the configuration that a potential was trained with; :class:`DataError` if it does not say."""
    if predictor.configuration is None:
        raise DataError("this potential does not say with which configuration it was trained. Train it again.")
    return predictor.configuration


def frames_of_molecules(predictor: "Predictor", path: object, summary: "DatasetSummary") -> Tensor:
    """Return (n,) all frames, without isolated atoms where those of the training gave its reference energies."""
    is_isolated = (summary.sizes == 1) & (summary.Q == 0) & (summary.periodic == 0)
    by_atoms = training_configuration(predictor)["Datahub"]["transforms"]["atomic_energy"] == "isolated"
    if not by_atoms or is_isolated.all() or not is_isolated.any():
        return torch.arange(len(is_isolated))
    text = "%s: %d of %d frames are isolated atoms, which gave training its reference energies: not compared."
    log.log(NOTICE, text, path, is_isolated.sum(), len(is_isolated))
    return torch.from_numpy(np.flatnonzero(~is_isolated))


def unknown_charges(domain: TrainingDomain, charges: set[float]) -> str:
    """Return a warning of charges that a potential was not trained on, or that it does not read, or an empty text."""
    unknown = sorted(charges - set(domain.charges))
    if charges and domain.charges_without_effect:
        known = ", ".join(f"{Q:g}" for Q in domain.charges)
        return f"the potential was trained on total charges {known}{domain.charges_without_effect}."
    if not unknown or not domain.charges:
        return ""
    known, others = (", ".join(f"{Q:g}" for Q in values) for values in (domain.charges, unknown))
    return f"the potential was trained on total charges {known}, not on {others}: predictions may mean nothing."


def unsaid_charge(domain: TrainingDomain, charge: float | None) -> str:
    """Return a warning that a potential of several charges was given none, or an empty text."""
    if charge is not None or len(domain.charges) < 2 or domain.charges_without_effect:
        return ""
    known = ", ".join(f"{Q:g}" for Q in domain.charges)
    return f"the total charge is taken to be 0; the potential was trained on {known}. Give charge=."


def reads_charges(predictor: "Predictor") -> bool:
    """Return whether total charges make a difference to a property that a potential predicts, or may do so."""
    blind = predictor.domain.blind_to_charge
    return blind is None or any(name in TARGETS for name in set(predictor.outputs) - set(blind))


def unknown_compositions(domain: TrainingDomain, compositions: Iterable[str]) -> str:
    """Return a warning of :func:`formulas` that a potential was not trained on, or an empty text.

    Those that were trained on many compositions are made for others, too: they have no warning.
    """
    known = domain.compositions
    unknown = sorted(set(compositions) - set(known))
    if not unknown or not 0 < len(known) <= _FEW_COMPOSITIONS:
        return ""
    shown = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
    return f"the potential was trained on {', '.join(known)}, not on {shown}: predictions may mean nothing."


def differences(domain: TrainingDomain, charge: float, numbers: Iterable[int], is_periodic: bool) -> list[str]:
    """Return warnings of the total charge and the composition of a system that a potential was not trained on."""
    found = unknown_charges(domain, {charge}), unknown_compositions(domain, [formula(numbers, is_periodic)])
    return [warning for warning in found if warning]


class ShortestDistances:
    """The shortest distances of each two elements, to be compared with those in the training data.

    Args:
        known: two atomic numbers, the smaller one first -> their shortest distance in the training data [Å].

    Attributes:
        found: the same in all molecules so far [Å].
    """

    def __init__(self, known: Mapping[tuple[int, int], float]) -> None:
        self.known = known
        self.found: dict[tuple[int, int], float] = {}

    def add(self, Ra: Tensor, Za: Tensor, N: Tensor, cell: Tensor | None = None, pbc: Tensor | None = None) -> float:
        """Add molecules: (A, 3) positions [Å], (A,) atomic numbers, (G,) numbers of atoms, and where there are cells
        (G, 3, 3) lattice vectors [Å] and (G, 3) directions, with the images of atoms.

        Returns:
            The smallest of all distances in them, each as a multiple of the shortest one of its two elements in the
            training data; NaN if there is nothing to compare with.
        """
        if not self.known:
            return math.nan
        farthest = max(self.known.values())
        # not much farther for elements that are always far apart
        reach = max(farthest, min(2 * farthest, _FAR))
        shortest = shortest_distances(Za, *_edges(Ra, N, cell, pbc, reach))
        if not shortest:  # crystals that come much closer in the training data, and are in Bohr here
            shortest = shortest_distances(Za, *_edges(Ra, N, cell, pbc, 2 * reach))
        for elements, distance in shortest.items():
            self.found[elements] = min(distance, self.found.get(elements, distance))
        return self._smallest(shortest)

    def warnings(self) -> list[str]:
        """Return a warning of distances that are shorter than in the training data, and one if all are longer."""
        return [text for text in (self.too_close(), self.too_far()) if text]

    def too_close(self) -> str:
        """Return a warning of distances that are shorter than in the training data, or an empty text."""
        closer = [
            f"{chemical_symbols[Z1]}-{chemical_symbols[Z2]} {self.found[Z1, Z2]:.3f} Å ({distance:.3f} Å there)"
            for (Z1, Z2), distance in self.known.items()
            if self.found.get((Z1, Z2), distance) < CLOSER * distance
        ]
        return f"{TOO_CLOSE}: {', '.join(closer)}." if closer else ""

    def too_far(self) -> str:
        """Return a warning that all distances are longer than in the training data, or an empty text."""
        nearest = self._smallest(self.found)
        of_unit = f"by a factor of {nearest:.2f} (1.89: Bohr taken for Å)"
        return f"no atoms are as near as in the training data, {of_unit}." if nearest > FARTHER else ""

    def report(self, advice: str, when: str = "") -> None:
        """Log the warnings, and give ``advice``."""
        for text in self.warnings():
            log.warning("%s%s %s", when, text if when else text[0].upper() + text[1:], advice)

    def _smallest(self, found: Mapping[tuple[int, int], float]) -> float:
        """Return the smallest of distances as multiples of those in the training data."""
        return min((d / self.known[pair] for pair, d in found.items() if pair in self.known), default=math.nan)


class DistanceWatch:
    """Looks at the distances in systems that move, and warns once of shorter and once of longer ones than in training.

    It looks again when the systems are others, or an atom or a lattice vector has moved by 0.25 Å, so that it takes
    little time.

    Args:
        domain: of the potential.
        units: of the systems.
    """

    def __init__(self, domain: TrainingDomain, units: Units) -> None:
        self._distances, self._length = ShortestDistances(domain.distances_in_angstrom(units)), units.likely_length
        self._last: Data | None = None  # where it has looked last
        self._kinds = [self._distances.too_close, self._distances.too_far] if self._distances.known else []

    def look(self, data: Data, is_same: bool) -> list[str]:
        """Return warnings.

        Args:
            data: systems, of which ``Ra``, ``Za``, ``N``, and in cells ``cell`` and ``pbc`` are read.
            is_same: whether they are the systems of the call before, moved or not.
        """
        if not self._kinds or (is_same and self._has_barely_moved(data)):
            return []
        self._last = data
        cells = (data.cell * self._length, data.pbc) if "cell" in data else ()
        self._distances.add(data.Ra * self._length, data.Za, data.N, *cells)
        found = {kind: text for kind in self._kinds if (text := kind())}
        self._kinds = [kind for kind in self._kinds if kind not in found]
        return [*found.values()]

    def _has_barely_moved(self, data: Data) -> bool:
        # the call before may have been refused, so that it has looked at other systems
        last = self._last
        if last is None or last.Ra.shape != data.Ra.shape or ("cell" in last) != ("cell" in data):
            return False
        names = [name for name in ("Ra", "cell") if name in data]
        return max(float((data[name] - last[name]).abs().max()) for name in names) * self._length < _MOVED


def _edges(Ra: Tensor, N: Tensor, cell: Tensor | None, pbc: Tensor | None, reach: float) -> tuple[Tensor, Tensor]:
    """Return (2, E) edges within reach, and (E,) their lengths, those to images included."""
    if cell is None or pbc is None:
        edges = find_edges(Ra, N, reach)
        return edges, pair_distances(Ra, edges)
    edges, T = find_edges_in_cells(Ra, N, cell, pbc, reach)
    of_atom = torch.arange(len(N), device=N.device).repeat_interleave(N)  # (A,)
    shifts = translation_vectors(T, cell.to(Ra), of_atom.index_select(0, edges[1]))  # (E, 3)
    return edges, lengths(pair_vectors(Ra, edges) + shifts)
