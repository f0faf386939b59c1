"""What fields arrays are taken for, by names and shapes."""

from typing import Any

import numpy as np
import pytest

from pyg_nnp.data.formats.guess import guess_fields, unlike_labels
from pyg_nnp.data.source import ArrayType

STRUCTURES = {"pos": (40, 5, 3), "Z": ((40, 5), "i8")}
ONE_FRAME = {"positions": (5, 3), "numbers": ((5,), "i8")}


def guessed(columns: dict[str, Any], **options: bool) -> dict[str, str]:
    """Guess from name -> shape, or shape and type."""
    types = {name: of if of and isinstance(of[-1], str) else (of, "f8") for name, of in columns.items()}
    return guess_fields({name: ArrayType(shape, np.dtype(kind)) for name, (shape, kind) in types.items()}, **options)


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"energy": (40,), "forces": (40, 5, 3), "dipole": (40, 3), "charges": (40, 5)}, "E Fa M2 Qa"),
        ({"energy": (40, 1, 1), "forces": (40, 5, 3, 1)}, "E Fa"),
        # by shape alone
        ({"a": (40,), "b": (40, 3)}, "E M2"),
        ({"a": (40,), "c": (40,)}, ""),
        ({"a": (39,), "b": (3, 3)}, ""),
        # of one frame, where arrays are of all
        ({"energy": (), "dipole": (3,)}, ""),
        # all frames may have one charge
        ({"charge": ((), "i8")}, "Q"),
        ({"energy_per_atom": (40,), "homo_energy": (40,), "atomization_energy": (40,)}, ""),
        ({"stress": (40, 6), "cell": (40, 2), "velocities": (40, 5, 3)}, "S"),
        *(({"unit_cell": shape}, "cell") for shape in [(40, 3, 3), (40, 9), (40, 6), (40, 3), (40,), (3, 3), (3,)]),
        *(({"periodic": (shape, "?")}, "pbc") for shape in [(40, 3), (40,), (3,)]),
        ({"virials": (40, 9)}, "S"),
        ({"REF_stress": (40, 3, 3)}, "S"),
        ({"stress_std": (40, 6), "atomic_virials": (40, 5, 6)}, ""),
        ({"energy": ((40,), "U8"), "forces": ((40,), "O")}, "Fa"),
        # numbers, of which some may be None
        ({"energy": ((40,), "O"), "dipoles": ((40,), "O"), "gap": ((40,), "O"), "mine": ((40,), "O")}, "E M2"),
        ({"total_charge": ((40,), "U8"), "charge_model": ((40,), "U8")}, "Q"),
        ({"config_weight": (40,), "weight": (40,)}, "weight"),
    ],
)
def test_arrays_over_frames(more: dict[str, Any], fields: str) -> None:
    assert set(guessed(STRUCTURES | more)) == {"Ra", "Za", *fields.split()}


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"energy": (), "forces": (5, 3), "dipole": (3,), "charges": (5,)}, "E Fa M2 Qa"),
        ({"energy": ((), "i8")}, "E"),
        # no shape tells anything in one frame
        ({"a": (), "b": (3,), "cell": (3, 3)}, "cell"),
        ({"energies": (5,), "stress": (6,)}, "S"),
        ({"virial": (3, 3)}, "S"),
        ({"natoms": ((), "i8"), "total_charge": ()}, "N Q"),
    ],
)
def test_one_frame(more: dict[str, Any], fields: str) -> None:
    assert set(guessed(ONE_FRAME | more)) == {"Ra", "Za", *fields.split()}


def test_frames_one_after_the_other() -> None:
    columns = {"xyz": (120, 3), "n_atoms": ((40,), "i8"), "z": ((120,), "i8"), "E": (40,), "grad": (120, 3)}
    assert guessed(columns) == {"N": "n_atoms", "Ra": "xyz", "Za": "z", "E": "E", "Fa": "grad"}


def test_names_alone() -> None:
    assert "E" not in guessed(STRUCTURES | {"a": (40,)}, by_shape=False)
    assert guessed(STRUCTURES | {"dft_energy": (40,)}, by_shape=False)["E"] == "dft_energy"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"energies": (40, 3), "forces": (40, 15)}, {"E": "energies", "Fa": "forces"}),
        ({"E": ((40,), "U9"), "energy": ((40,), "c16")}, {"E": "E"}),
        ({"Energy": ((), "O"), "field": (40, 3), "dft_energy": (40, 5)}, {"E": "Energy"}),
        ({"e_dft": (40,), "dipole": (40, 5, 3), "per_atom_energy": (40, 5)}, {}),
    ],
)
def test_names_of_labels_that_nothing_else_says(more: dict[str, Any], expected: dict[str, str]) -> None:
    columns = {
        name: of if isinstance(of[-1], str) else (of, "f8")
        for name, of in ((n, v or ((), "f8")) for n, v in more.items())
    }
    types = {name: ArrayType(shape, np.dtype(kind)) for name, (shape, kind) in columns.items()}
    assert unlike_labels(types, {"Ra": "pos"}) == expected
    assert not unlike_labels(types, {"E": "one", "Fa": "two"})
    assert not unlike_labels(types, dict.fromkeys(("Ra", "E"), "energies") | dict(zip("abcd", more, strict=False)))


def test_a_name_of_one_field_is_not_part_of_another() -> None:
    columns = {"R": (40, 5, 3), "Z": ((40, 5), "i8"), "Q": (40,), "E": (40,), "partial_charges": (40, 5)}
    assert guessed(columns) == {"Ra": "R", "Za": "Z", "Q": "Q", "E": "E", "Qa": "partial_charges"}
