"""One rule for the total charge of a structure."""

from typing import Any

import numpy as np
import pytest

from pyg_nnp.data.source import CONFLICT, ArrayType
from pyg_nnp.data.total_charge import charge_arrays, charge_names, charge_of, given_charge, name_in_training
from pyg_nnp.errors import DataError


@pytest.mark.parametrize(
    ("values", "of_training", "expected"),
    [
        ({}, None, None),
        ({}, "total_charge", None),
        ({"charge": 1}, None, 1.0),
        ({"charge": 1}, "total_charge", 1.0),
        ({"total_charge": -1}, None, -1.0),
        ({"total_charge": -1}, "charge", -1.0),
        ({"Q": 2, "energy": 7}, "total_charge", 2.0),
        ({"Net_Charge": 1.0}, None, 1.0),
        ({"ion": 3, "energy": 1}, "ion", 3.0),
        ({"ion": 3}, None, None),
        ({"tot_charge": 1, "ion": 3}, None, 1.0),
        ({"Q_tot": -2}, "charge", -2.0),
        ({"system_charge": 1, "molcharge": 1}, None, 1.0),
        ({"charge": 1, "total_charge": 1.0}, "charge", 1.0),
        # values of other types
        ({"charge": None}, None, None),
        ({"charge": None, "total_charge": 1}, "charge", 1.0),
        ({"charge": np.nan}, None, None),
        ({"charge": np.array([np.nan])}, "charge", None),
        ({"charge": "nan", "total_charge": 1}, "charge", 1.0),
        ({"charge": "1"}, None, 1.0),
        ({"charge": " -1 "}, None, -1.0),
        ({"charge": b"+2"}, None, 2.0),
        ({"smiles": "[O-][N+](=O)C[NH3+:7]"}, "smiles", 1.0),
        ({"charge": "[Ca++]"}, None, 2.0),
        ({"smiles": "[Cl-]"}, None, None),
        ({"charge": [1]}, None, 1.0),
        ({"charge": np.array([[1.0]])}, None, 1.0),
        ({"charge": np.array(1, dtype=">i2")}, None, 1.0),
        ({"charge": np.array([1], dtype=object)}, None, 1.0),
        # another quantity of that name
        ({"charge": 1, "q": np.array([0.5, 0.5])}, None, 1.0),
        ({"charge": 1, "q": np.nan}, None, 1.0),
    ],
)
def test_what_is_taken(values: dict[str, Any], of_training: str | None, expected: float | None) -> None:
    found = charge_of(values, of_training)
    assert found == expected
    assert found is None or type(found) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"charge": np.inf}, r"'charge' is 'inf', but the total charge is one number\. Correct it, or rename it\."),
        ({"charge": "neutral"}, "'charge' is 'neutral'"),
        ({"charge": True}, "'charge' is 'True'"),
        ({"charge": CONFLICT}, "'charge' is there twice, with different values. Remove or rename one"),
        ({"charge": CONFLICT, "Q": 1}, "'charge' is there twice"),
        ({"charge": 1j}, "'charge' is '1j'"),
        ({"charge": [0, 1]}, r"'charge' is '\[0, 1\]'"),
        ({"charge": []}, r"'charge' is '\[\]'"),
        ({"charge": [[0], [1, 2]]}, r"'charge' is"),
        ({"charge": np.zeros((3, 30))}, r"'charge' is of shape \(3, 30\)"),
        # the name of the training data means the total charge
        ({"q": [0.1, 0.9], "charge": 1}, r"'q' is '\[0\.1, 0\.9\]'"),
        ({"q": 1, "charge": 0}, "two total charges: 'q' is 1, but 'charge' is 0. Remove one of them"),
        ({"charge": 0, "tot_charge": 1}, "two total charges: 'charge' is 0, but 'tot_charge' is 1"),
        ({"Total_Charge": 1, "charge": -1}, "two total charges: 'Total_Charge' is 1, but 'charge' is -1"),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        charge_of(values, "q")


def test_the_name_of_the_training_comes_first() -> None:
    known = ["energy", "q", "charge", "Total_Charge", "mine", 3]
    assert charge_names(known) == ["Total_Charge", "charge", "q"]
    assert charge_names(known, "q") == ["q", "Total_Charge", "charge"]
    assert charge_names(known, "mine") == ["mine", "Total_Charge", "charge", "q"]


@pytest.mark.parametrize(
    ("positions", "shape", "is_charge"),
    [
        ((7, 3, 3), (7,), True),  # of molecules of one size
        ((7, 3, 3), (7, 1), True),
        ((7, 3, 3), (), True),
        ((7, 3, 3), (1,), True),
        ((7, 3, 3), (7, 3), False),
        ((7, 3, 3), (7, 3, 3), False),
        ((21, 3), (7,), True),  # one after the other
        ((21, 3), (21,), False),
        ((3, 3), (), True),  # of one frame
        ((3, 3), (3,), False),
        ((7,), (7,), True),  # objects
    ],
)
def test_arrays_of_a_file(positions: tuple[int, ...], shape: tuple[int, ...], is_charge: bool) -> None:
    number = np.dtype(float)
    arrays = {"R": ArrayType(positions, number), "q": ArrayType(shape, number), "E": ArrayType((7,), number)}
    assert charge_arrays(arrays, "R") == (["q"] if is_charge else [])
    # the reader says what is wrong with what the training data had
    assert charge_arrays(arrays, "R", "q") == ["q"]


@pytest.mark.parametrize(("shape", "is_charge"), [((), True), ((1,), True), ((5,), False), ((3,), False)])
def test_values_of_each_frame(shape: tuple[int, ...], is_charge: bool) -> None:
    """One for each atom of another frame than the first is no total charge."""
    number = np.dtype(float)
    arrays = {"positions": ArrayType((3, 3), number, 9), "charge": ArrayType(shape, number, 4)}
    assert charge_arrays(arrays, "positions") == (["charge"] if is_charge else [])


@pytest.mark.parametrize("charge", [-1, "-1", np.float32(-1), np.array([-1])])
def test_a_charge_that_is_given(charge: Any) -> None:
    assert given_charge(charge) == -1.0


@pytest.mark.parametrize("charge", [float("nan"), float("inf"), None, "x", [0, 1]])
def test_what_is_given_and_no_charge(charge: Any) -> None:
    with pytest.raises(DataError, match=r"^charge: .* is no total charge. Give a number\.$"):
        given_charge(charge)


def test_name_in_the_configuration_of_a_training() -> None:
    assert name_in_training({"Datahub": {"features": {"Q": "mine"}}}) == "mine"
    for without in (None, {}, {"Datahub": {"features": {}}}):
        assert name_in_training(without) is None
