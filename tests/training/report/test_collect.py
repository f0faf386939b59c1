"""Errors in a report against those by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers
from reports import TARGETS, opened
from torch_geometric.data import Data

from pyg_nnp import load_potential
from pyg_nnp.training.report.collect import _PointSample, collect
from pyg_nnp.training.report.types import Evaluation


def evaluated(out: Path, **changes: Any) -> Evaluation:
    _, dataset, parts = opened(out)
    return collect(load_potential(out / "FF01-SchNet"), dataset, changes.get("parts", parts), [*TARGETS, "Q"], 5)


def test_spread_of_charges_is_that_within_an_element() -> None:
    batch = Data(Za=torch.tensor([8, 1, 1]), Qa=torch.tensor([-0.8, 0.3, 0.5]), N=torch.tensor([3]))
    found = _PointSample("Qa", 3)
    found.add(batch, batch.Qa, torch.zeros(119))
    assert found.points().spread == pytest.approx(math.sqrt(2 * 0.1**2 / 3))
    np.testing.assert_array_equal(found.points().Za, [8, 1, 1])
    dipoles = _PointSample("M2", 6)
    dipoles.add(Data(M2=torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])), torch.zeros(2, 3), torch.zeros(119))
    assert dipoles.points().spread == pytest.approx(np.std([1, 2, 3, 4, 5, 6]))


def test_errors_are_those_of_metrics_json(reported: Path) -> None:
    metrics = json.loads((reported / "out/FF01-SchNet/metrics.json").read_text())
    rows = evaluated(reported / "out").rows
    assert {row.field: row.rmse for row in rows if row.of == "all"} == metrics["test"]["rmse"]


def test_elements_and_worst_frames_by_hand(reported: Path) -> None:
    _, dataset, parts = opened(reported / "out")
    potential, found = load_potential(reported / "out/FF01-SchNet"), evaluated(reported / "out")
    errors: dict[int, np.ndarray] = {}
    for index in parts["test"].tolist():
        frame = dataset[index]
        errors[index] = (potential(frame)["Fa"] - frame.Fa).double().numpy()
    rmse = {index: float(np.sqrt(np.mean(error**2))) for index, error in errors.items()}
    order = sorted(rmse, key=lambda index: -rmse[index])
    assert found.worst_by == "Fa"
    assert [frame.index for frame in found.worst] == order
    numbers = np.concatenate([dataset[index].Za.numpy() for index in errors])
    joined = np.concatenate(list(errors.values()))
    by_element = {row.field: [r for r in found.rows if r.field == row.field and r.of != "all"] for row in found.rows}
    assert {field for field, rows in by_element.items() if len(rows) > 1} == {"Fa", "Qa"}
    for of in by_element["Fa"]:
        rows = joined[numbers == atomic_numbers[of.of]]
        assert of.count == rows.size
        assert of.rmse == pytest.approx(float(np.sqrt(np.mean(rows**2))), rel=1e-5)
        assert of.mae == pytest.approx(float(np.mean(abs(rows))), rel=1e-5)


def test_points_are_predictions_and_labels(reported: Path) -> None:
    _, dataset, parts = opened(reported / "out")
    potential, points = load_potential(reported / "out/FF01-SchNet"), evaluated(reported / "out").points
    frames = [dataset[index] for index in parts["test"].tolist()]
    assert points["M2"].true == pytest.approx(torch.cat([f.M2 for f in frames]).flatten().numpy(), rel=1e-6)
    predicted = torch.cat([potential(f)["M2"] for f in frames]).flatten().numpy()
    assert points["M2"].predicted == pytest.approx(predicted, abs=1e-5)
    reference = {1: -0.5, 6: -37.8, 8: -75.0}
    left = [float(f.E) - sum(reference[Z] for Z in f.Za.tolist()) for f in frames]
    assert points["E"].true == pytest.approx(left, abs=1e-9)


def test_a_large_part_is_thinned_but_its_errors_are_not(reported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluated(reported / "out")
    monkeypatch.setattr("pyg_nnp.training.report.collect.MAX_POINTS", 40)
    thinned = evaluated(reported / "out")
    assert thinned.rows == whole.rows
    of = whole.points["Fa"].total
    assert len(whole.points["Fa"].true) == of > 60
    assert thinned.points["Fa"].total == of
    assert 15 < len(thinned.points["Fa"].true) < 60
    pairs = set(zip(whole.points["Fa"].true, whole.points["Fa"].predicted, strict=True))
    assert set(zip(thinned.points["Fa"].true, thinned.points["Fa"].predicted, strict=True)) <= pairs


@pytest.mark.parametrize(
    ("names", "expected"), [(["training", "validation"], "validation"), (["training"], "training")]
)
def test_part_where_there_is_no_test_part(reported: Path, names: list[str], expected: str) -> None:
    _, _, parts = opened(reported / "out")
    found = evaluated(reported / "out", parts={name: parts[name] for name in names})
    assert found.part == expected
    assert {frame.index for frame in found.worst} <= set(parts[expected].tolist())
