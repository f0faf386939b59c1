"""The training domain: elements, charges, compositions and distances that a potential was trained on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

from pyg_nnp.errors import DataError
from pyg_nnp.units import Units

if TYPE_CHECKING:
    from torch import Tensor

DOMAIN_KEYS = ("elements", "charges", "compositions", "structures", "closest")
"""Keys of the description of a saved potential that say its training domain."""


@dataclass(frozen=True)
class TrainingDomain:
    """The molecules that a potential was trained on; empty attributes are not known, as of untrained potentials.

    Attributes:
        elements: atomic numbers, in ascending order.
        charges: total charges of the molecules [charge], in ascending order.
        compositions: chemical formulas of the molecules, in alphabetical order.
        shortest_distances: two atomic numbers, the smaller one first -> their shortest distance in the training part
            [length].
        fingerprint: digest of elements and positions of all frames of the data set.
    """

    elements: tuple[int, ...] = ()
    charges: tuple[float, ...] = ()
    compositions: tuple[str, ...] = ()
    shortest_distances: Mapping[tuple[int, int], float] = field(default_factory=dict)
    fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the entries for the description of a saved potential."""
        known: dict[str, Any] = {
            "elements": list(self.elements),
            "charges": list(self.charges),
            "compositions": list(self.compositions),
            "structures": self.fingerprint,
            "closest": [[*pair, distance] for pair, distance in sorted(self.shortest_distances.items())],
        }
        return {key: value for key, value in known.items() if value}

    @classmethod
    def from_json(cls, description: Mapping[str, Any]) -> "TrainingDomain":
        """Return the domain in the description of a saved potential; those of older versions lack some of it."""
        return cls(
            tuple(description.get("elements") or ()),
            tuple(description.get("charges") or ()),
            tuple(description.get("compositions") or ()),
            {(int(first), int(second)): distance for first, second, distance in description.get("closest") or ()},
            description.get("structures") or "",
        )

    def distances_in_angstrom(self, units: Units) -> dict[tuple[int, int], float]:
        """Return :attr:`shortest_distances` [Å]; where the unit of length is not known, it is taken to be Å."""
        return {pair: units.likely_length * distance for pair, distance in self.shortest_distances.items()}

    def refuse_unseen_elements(self, Za: "Tensor") -> None:
        """Refuse elements that are not in the domain, if it says which are.

        Raises:
            DataError: there is one.
        """
        if self.elements and (unseen := set(Za.bincount().nonzero()[:, 0].tolist()) - set(self.elements)):
            raise DataError(
                f"this potential was not trained on {_symbols(unseen)}, only on {_symbols(self.elements)}. "
                "Train one on data that has all elements."
            )


def _symbols(elements: Iterable[int]) -> str:
    known = dict(enumerate(chemical_symbols))
    return ", ".join(known.get(Z, str(Z)) for Z in sorted(elements))
