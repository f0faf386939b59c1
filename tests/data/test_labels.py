"""Which labels frames have, and how much they weigh."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.labels import has_all_labels, has_labels, mean_weights, missing_labels, number_of_labels
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
Open = Callable[..., MoleculeDataset]
ALL = torch.arange(4)


@pytest.fixture
def with_gaps(frames: list[Frame]) -> list[Frame]:
    """Return frames of 3, 1, 2 and 1 atoms without an energy, two numbers of forces, all charges of two frames."""
    frames[1]["E"] = math.nan
    frames[0]["Fa"][1, 2] = frames[2]["Fa"][0, 0] = math.nan
    for frame in (frames[0], frames[3]):
        frame["Qa"] = np.full(frame["N"], math.nan)
    return frames


def test_labels_are_counted(with_gaps: list[Frame], open_dataset: Open) -> None:
    summary = open_dataset(with_gaps).summary
    expected = {"E": [0, 1, 0, 0], "Fa": [1, 0, 1, 0], "Qa": [3, 0, 0, 1], "M2": [0, 0, 0, 0], "Q": [0, 0, 0, 0]}
    for name, missing in expected.items():
        assert missing_labels(summary, name).tolist() == missing
        assert has_all_labels(summary, name).tolist() == [number == 0 for number in missing]
    assert has_labels(summary, "Fa").all()
    assert has_labels(summary, "Qa").tolist() == [False, True, True, False]
    counts = {name: number_of_labels(summary, name, torch.tensor([0, 1, 2])) for name in expected}
    assert counts == {"E": 2, "Fa": 16, "Qa": 3, "M2": 9, "Q": 3}


def test_summary_is_of_what_is_there(with_gaps: list[Frame], open_dataset: Open) -> None:
    summary = open_dataset(with_gaps, torch.float64).summary
    energies = [frame["E"] for frame in with_gaps]
    assert summary.ranges["E"] == pytest.approx((np.nanmin(energies), np.nanmax(energies), np.nanmean(energies)))
    assert np.isnan(summary.E).tolist() == [False, True, False, False]
    assert np.isnan(summary.net_force).tolist() == [True, False, True, False]
    assert np.isnan(summary.charge_error).tolist() == [True, False, False, True]
    largest = [np.nanmax(np.linalg.norm(frame["Fa"], axis=1)) for frame in with_gaps]
    assert summary.largest_force == pytest.approx(largest)


def test_mean_weights_by_hand(with_gaps: list[Frame], open_dataset: Open) -> None:
    names = ("E", "Fa", "Qa", "M2", "Q")
    summary = open_dataset(with_gaps).summary
    found = mean_weights(summary, names, ALL)
    assert found == pytest.approx({"E": 3 / 4, "Fa": 19 / 21, "Qa": 3 / 7})
    assert mean_weights(summary, names, torch.tensor([2])) == pytest.approx({"Fa": 5 / 6})
    assert mean_weights(summary, ["E", "Qa"], torch.tensor([2])) == {}
    weighted = [frame | {"weight": weight} for frame, weight in zip(with_gaps, (1.0, 5.0, 0.5, 0.0), strict=True)]
    found = mean_weights(open_dataset(weighted).summary, names, ALL)
    assert found["E"] == pytest.approx((1 + 0.5 + 0) / 4)
    assert found["Fa"] == pytest.approx((8 * 1 + 3 * 5 + 5 * 0.5) / 21)
    assert found["Qa"] == pytest.approx((5 + 2 * 0.5) / 7)
    assert found["Q"] == pytest.approx(6.5 / 4)


def test_a_field_without_labels_in_the_training_part_is_refused(with_gaps: list[Frame], open_dataset: Open) -> None:
    with pytest.raises(DataError, match=r"'Qa' \(atomic charges\) is missing in all frames of the training part"):
        mean_weights(open_dataset(with_gaps).summary, ["Qa"], torch.tensor([0, 3]))
