"""The description in the file of a potential, and the training domain that it says.

It is JSON in the header of a safetensors file, with a digest of the file, and read without PyTorch, which takes seconds
to import.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

from pyg_nnp.errors import DataError
from pyg_nnp.units import Units

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
KEY = "potential"
"""Entry of the header of a safetensors file that holds the description."""
BEST, LAST = "best.safetensors", "last.safetensors"
DOMAIN_KEYS = ("elements", "charges", "compositions", "structures", "closest", "blind_to_charge")
"""Keys of the description that say the training domain."""
_MOST_NAMED = 5


def read_description(path: Path) -> dict[str, Any]:
    """Return the description of a saved potential, after a check of the digest of the whole file.

    Raises:
        DataError: there is no such file, or it is damaged, or another one than its name says, or of another format.
    """
    return parse(path, read_content(path))


def read_content(path: Path) -> bytes:
    """Return the bytes of the file of a potential; that there is none is a :class:`DataError`."""
    if not path.is_file():
        near = ", ".join(str(found.parent) for found in sorted(path.parent.glob(f"*/{BEST}"))[:_MOST_NAMED])
        instead = f" In {path.parent} there are: {near}." if near else ""
        raise DataError(
            f"{path}: no potential here, seen from '{Path.cwd()}'. Name the folder of a trained model, or a file in "
            f"it.{instead}"
        )
    return path.read_bytes()


def parse(path: Path, content: bytes) -> dict[str, Any]:
    """Return the description in the bytes of a file, checked as :func:`read_description` does."""
    try:
        description: dict[str, Any] = json.loads(_split(content)[0]["__metadata__"][KEY])
        is_damaged = description["sha256"] != digest_of(content)
        found, name = description["format"], description["name"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: this is no saved potential, or the saved potential is damaged: {type(error).__name__}: {error}. "
            "Name the folder of a trained model, or use another copy of the file."
        ) from error
    if is_damaged:
        raise damaged(path, "its content is not what was written")
    if found != FORMAT:
        raise DataError(
            f"{path}: format {found} of a potential is not known to this version of pyg_nnp, which reads format "
            f"{FORMAT}. Use a version like that which wrote it, {description.get('version')}."
        )
    if path.name in (BEST, LAST) and path.name != name:
        raise DataError(f"{path}: this was saved as {name}. Put the right file in its place.")
    return description


def digest_of(content: bytes) -> str:
    """Return the hash of all that the file says, but for the hash itself."""
    header, rest = _split(content)
    description = json.loads(header["__metadata__"][KEY])
    description.pop("sha256", None)
    header["__metadata__"] = description
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(rest)
    return digest.hexdigest()


def damaged(path: Path, reason: str) -> DataError:
    """Return the error of a file that is not what was written."""
    return DataError(f"{path}: the saved potential is damaged: {reason}. Use another copy of it.")


def _split(content: bytes) -> tuple[Any, memoryview]:
    """Return header and data; the length of the header comes first."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), memoryview(content)[end:]


@dataclass(frozen=True)
class TrainingDomain:
    """The molecules that a potential was trained on; empty attributes are not known, as of untrained potentials.

    Attributes:
        elements: atomic numbers, in ascending order.
        charges: total charges of the molecules [charge], in ascending order.
        compositions: chemical formulas, in alphabetical order; see :func:`pyg_nnp.functional.composition.formula`.
        shortest_distances: two atomic numbers, the smaller one first -> their shortest distance in the training part
            [length].
        fingerprint: digest of elements and positions of all frames of the data set.
        blind_to_charge: labels that are predicted without any use of the total charge; None where it is not known.
    """

    elements: tuple[int, ...] = ()
    charges: tuple[float, ...] = ()
    compositions: tuple[str, ...] = ()
    shortest_distances: Mapping[tuple[int, int], float] = field(default_factory=dict)
    fingerprint: str = ""
    blind_to_charge: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entries for the description of a saved potential."""
        known: dict[str, Any] = {
            "elements": list(self.elements),
            "charges": list(self.charges),
            "compositions": list(self.compositions),
            "structures": self.fingerprint,
            "closest": [[*pair, distance] for pair, distance in sorted(self.shortest_distances.items())],
        }
        found = {key: value for key, value in known.items() if value}
        # an empty list says that there are none
        return found if self.blind_to_charge is None else {**found, "blind_to_charge": list(self.blind_to_charge)}

    @classmethod
    def from_json(cls, description: Mapping[str, Any]) -> "TrainingDomain":
        """Return the domain in the description of a saved potential; those of older versions lack some of it."""
        blind = description.get("blind_to_charge")
        return cls(
            tuple(description.get("elements") or ()),
            tuple(description.get("charges") or ()),
            tuple(description.get("compositions") or ()),
            {(int(first), int(second)): distance for first, second, distance in description.get("closest") or ()},
            description.get("structures") or "",
            None if blind is None else tuple(blind),
        )

    @property
    def charges_without_effect(self) -> str:
        """What follows the list of charges in a sentence: what they make no difference to, or an empty text."""
        if len(self.charges) < 2 or not self.blind_to_charge:
            return ""
        return f", which make no difference to {', '.join(self.blind_to_charge)}: no layer that they come from reads Q"

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
