"""What fields the arrays of a data file probably are, by their names and shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyg_nnp.data.source import ArrayType, ArrayTypes
from pyg_nnp.fields import FEATURES, FIELDS, SHAREABLE, TARGETS, WEIGHTS

# a name of the field; one in another case; one that contains it; nothing but a shape
_EXACT, _SAME_WORD, _CONTAINS, _SHAPE = 3, 2, 1, 0
_BY_SHAPE = ("Ra", "Za", "E", "M2")
# types of numbers that arrays of a field have; whole numbers where their name says that they are labels
_KINDS = {"Za": "iuUSO", "N": "iu", "Q": "iuf", "weight": "iuf", "pbc": "biuf"}
_FIELDS = (*FEATURES, *TARGETS, "weight")
# of one frame, or of one atom, in any of which a field may be
_ROWS = {"S": ((6,), (9,), (3, 3)), "cell": ((3, 3), (9,), (6,), (3,), ()), "pbc": ((3,), ())}
# what has the shape of a field, or a part of its name, and is another quantity
_OTHER = re.compile(
    r"cell|lattice|\bbox|pbc|veloc|moment(um|a)|magmom|polariz|hess|quadrupole|per_?atom|homo|lumo|gap"
    r"|zpve|zero_?point|repulsion|dispersion|vdw|kinetic|formation|atomi[sz]ation|orbital|uncert|std|error|weight",
    re.IGNORECASE,
)
_STRESS = re.compile("stress|virial", re.IGNORECASE)


def guess_fields(
    columns: ArrayTypes, known: Mapping[str, str] | None = None, *, by_shape: bool = True
) -> dict[str, str]:
    """Return standard name -> name in the file, as names and shapes suggest; what nothing fits is left out.

    Fields that are ``known`` stay as they are. With ``by_shape`` a shape that nothing else has is enough.
    """
    guessed = dict(known or {})
    layout = _Layout()
    # the positions tell how many frames an array is of, and what shapes all others can have
    for fields in (("Ra",), ("N",), _FIELDS):
        # names before shapes, and exact names first
        for least in (_EXACT, _SAME_WORD, _CONTAINS, *((_SHAPE,) if by_shape else ())):
            for field in (name for name in fields if name not in guessed):
                free = [name for name in columns if name not in guessed.values() and _can_be(field, name, least)]
                fitting = [name for name in free if layout.fits(field, columns[name], _likeness(field, name))]
                # a shape alone says something only if nothing else has it
                if fitting and (least or len(fitting) == 1):
                    guessed[field] = fitting[0]
        if "Ra" in guessed:
            layout = _Layout.of(columns[guessed["Ra"]], columns[guessed["N"]] if "N" in guessed else None)
    return {name: guessed[name] for name in _FIELDS if name in guessed}


def unlike_labels(columns: ArrayTypes, known: Mapping[str, str]) -> dict[str, str]:
    """Return energies and forces as their names alone say: standard name -> name in the file.

    They are those that are not among the ``known`` fields, since their shape or type is that of something else.
    """
    found: dict[str, str] = {}
    for field in ("E", "Fa"):
        free = (name for name in columns if name not in known.values() and _likeness(field, name) >= _SAME_WORD)
        if field not in known and (named := max(free, key=lambda name: _likeness(field, name), default=None)):
            found[field] = named
    return found


def is_gradient(name: str) -> bool:
    """Return whether a name is that of the gradient of the energy, such as ``gradients`` or ``dE/dR``."""
    return re.search("grad|^d_?e[_/]*d", name.lower()) is not None


@dataclass(frozen=True)
class _Layout:
    """How the arrays of a file stand for frames.

    Attributes:
        positions: type of the positions; None: not known yet.
        frames: number of frames of an array; None: it is of one frame.
        is_concatenated: whether rows of atoms of all frames follow each other.
    """

    positions: ArrayType | None = None
    frames: int | None = None
    is_concatenated: bool = False

    @classmethod
    def of(cls, positions: ArrayType, numbers: ArrayType | None) -> "_Layout":
        """Return the layout of a file with such positions and numbers of atoms."""
        if len(positions.shape) != 2:
            return cls(positions, positions.shape[0])
        if numbers is not None and len(numbers.shape) == 1 and numbers.shape[0] > 1:
            return cls(positions, numbers.shape[0], is_concatenated=True)
        return cls(positions)

    def fits(self, field: str, column: ArrayType, likeness: int) -> bool:
        """Return whether an array can hold a field, more strictly if its name does not say so."""
        shape = column.shape
        if column.dtype.kind == "O" and field != "Za":
            # rows of different lengths, or numbers of which some are missing
            return likeness >= _SAME_WORD and len(shape) == 1
        kinds = _KINDS.get(field, "iuf" if likeness >= _SAME_WORD else "f")
        if column.dtype.kind not in kinds + ("US" if field == "Q" and likeness >= _SAME_WORD else ""):
            return False
        if likeness == _SHAPE and not self._has_numbers(field, shape):
            return False
        of_atoms = 1 if FIELDS[field].level == "atom" else 0
        for own in self._of_one_frame(field, shape):
            for found in (own, tuple(length for length in own if length != 1)):
                if found[of_atoms:] in _ROWS.get(field, (FIELDS[field].shape,)) and len(found) >= of_atoms:
                    return True
        return False

    def _of_one_frame(self, field: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes that the array may have in one frame."""
        rows_follow = self.is_concatenated and FIELDS[field].level == "atom"
        if self.positions is None or field == "N":
            return shape, shape[1:]
        if self.frames is None or rows_follow:
            return (shape,)
        of_all = (shape,) if field in SHAREABLE else ()
        return (shape[1:], *of_all) if shape else of_all

    def _has_numbers(self, field: str, shape: tuple[int, ...]) -> bool:
        """Return whether there are as many frames, or atoms, as there are positions."""
        if self.positions is None:
            return True
        if field == "Za":
            return shape[-1:] == self.positions.shape[-2:-1]
        return self.frames is not None and self.frames > 1 and shape[:1] == (self.frames,)


def _can_be(field: str, name: str, least: int) -> bool:
    likeness = _likeness(field, name)
    if least >= _SAME_WORD:
        return likeness >= least
    belongs = any(_likeness(other, name) >= _SAME_WORD for other in _FIELDS if other != field)
    is_other = bool(_OTHER.search(name)) or (field != "S" and bool(_STRESS.search(name)))
    return likeness >= least and not belongs and not is_other and (bool(least) or field in _BY_SHAPE)


def _likeness(field: str, name: str) -> int:
    # a weight may as well be that of the molecule
    names = FIELDS[field].aliases if field in WEIGHTS else (field, *FIELDS[field].aliases)
    if name in names or name.lower() in {alias.lower() for alias in names}:
        return _EXACT if name in names else _SAME_WORD
    parts = (*FIELDS[field].aliases, *FIELDS[field].name_parts)
    contained = any(len(part) > 2 and part.lower() in name.lower() for part in parts)
    return _CONTAINS if contained or (field == "Fa" and is_gradient(name)) else _SHAPE
