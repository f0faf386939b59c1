"""Texts beside arrays that say units."""

from typing import Any

import numpy as np
import pytest

from pyg_nnp.data.formats.unit_texts import statements_in


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"energy_unit": "eV", "length_unit": "Ang"}, {"energy": "eV", "length": "Ang"}),
        ({"r_unit": np.array("Ang"), "e_unit": np.array([b"kcal/mol"])}, {"r": "Ang", "e": "kcal/mol"}),
        ({"energyUnits": "eV", "unit_of_length": "Bohr"}, {"energy": "eV", "length": "Bohr"}),
        ({"_property_unit_dict": {"energy_U0": "Ha"}, "_distance_unit": "Ang"}, {"energy_U0": "Ha", "distance": "Ang"}),
        ({"units": {"E": "eV", "n": 3}}, {"E": "eV"}),
        ({"units": "eV/Ang"}, {"energy": "eV", "length": "Angstrom"}),
        ({"units": "kcal/mol, Bohr"}, {"energy": "kcal/mol", "length": "Bohr"}),
        ({"unit": "energy: eV; positions=nm"}, {"energy": "eV", "positions": "nm"}),
        ({"units": "atomic"}, {"energy": "Hartree", "length": "Bohr"}),
        ({"units": "so-called"}, {"": "so-called"}),
        # none of these is a text on a unit
        ({"unit_cell": np.eye(3), "units": 3, "energy_unit": None, "community": "eV", 3: "eV", "energy": "eV"}, {}),
        ({"energy_unit": np.array(["eV", "eV"])}, {}),
    ],
)
def test_statements(attributes: dict[Any, Any], expected: dict[str, str]) -> None:
    assert {name: text for name, (text, _) in statements_in(attributes).items()} == expected


def test_statements_say_where_they_stand() -> None:
    assert statements_in({"energy_unit": "eV"}, "metadata ")["energy"].where == "metadata 'energy_unit'"


def test_texts_of_strangers_are_short_and_in_one_line() -> None:
    text = statements_in({"units": "\x1b[31m\n" + "x" * 1000})[""].text
    assert text.isprintable()
    assert len(text) <= 40


def test_quantities_that_are_described_one_by_one() -> None:
    targets = {"energy": {"units": "eV/atom", "extensive": False}, "forces": {"unit": "eV/A"}, "other": {}, 3: {}}
    found = statements_in({"targets": targets, "note": {"units": "eV"}}, "metadata ")
    assert found == {"energy": ("eV/atom", "metadata 'targets'"), "forces": ("eV/A", "metadata 'targets'")}
