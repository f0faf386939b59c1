"""Errors over a part of the data."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy import toy_config

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.training.evaluation import evaluate
from pyg_nnp.training.metrics import ErrorTable, MetricSums


def test_metrics_do_not_depend_on_batches(folder: Path) -> None:
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    weights = {"rmse": {"E": 1.0, "Fa": 1.0}, "mae": {"M2": 1.0}, "mse": {"Qa": 1.0}}
    frames = torch.arange(len(dataset))
    whole, cut = (evaluate(potential, dataset.batches(frames, size), weights) for size in (100, 5))
    predicted, batch = potential.eval()(dataset.batch(frames)), dataset.batch(frames)
    assert potential.training is False
    for kind, of in whole.items():
        for name, value in of.items():
            assert cut[kind][name] == pytest.approx(value, rel=1e-5)
            error = (predicted[name] - batch[name]).double()
            by_hand = {"rmse": error.square().mean().sqrt(), "mse": error.square().mean(), "mae": error.abs().mean()}
            assert value == pytest.approx(float(by_hand[kind]), rel=1e-5)


class Labelled(dict[str, Tensor]):
    """Fields of a batch, also as attributes."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


def two_batches() -> list[tuple[dict[str, Tensor], Labelled]]:
    """Return predictions of 0 and labels, some of them missing, of 2 and 1 molecules of 2 atoms."""
    nan, weight = math.nan, torch.tensor([1.0, 3.0])
    first = {"E": torch.tensor([1.0, nan]), "Fa": torch.tensor([[1.0, nan, 2.0]] * 2 + [[nan] * 3, [4.0] * 3])}
    second = {"E": torch.tensor([-2.0]), "Fa": torch.full((2, 3), nan)}
    batches = []
    for labels, Za, w in ((first, [8, 1, 8, 1], weight), (second, [8, 1], weight[1:])):
        N = torch.full((len(w),), 2)
        batch = Labelled(labels | {"N": N, "Za": torch.tensor(Za), "weight": w})
        batches.append(({name: torch.zeros_like(values) for name, values in labels.items()}, batch))
    return batches


def test_errors_are_those_of_the_labels_that_there_are() -> None:
    weights = {"rmse": {"E": 1.0, "Fa": 1.0}, "mae": {"Fa": 1.0}}
    plain, weighted = (MetricSums(torch.device("cpu"), weights, weighted=weighted) for weighted in (False, True))
    table = ErrorTable(["E", "Fa"])
    for predicted, batch in two_batches():
        plain.update(predicted, batch)
        weighted.update(predicted, batch)
        table.update(predicted, batch)
    assert plain.counts() == weighted.counts() == {"E": 2, "Fa": 7}
    of_forces, of_weighted = (2 * (1 + 4) + 3 * 16) / 7, (2 * (1 + 4) + 3 * 3 * 16) / (4 + 3 * 3)
    assert plain.errors()["rmse"] == pytest.approx({"E": math.sqrt(5 / 2), "Fa": math.sqrt(of_forces)})
    assert plain.errors()["mae"]["Fa"] == pytest.approx((2 * 3 + 3 * 4) / 7)
    assert weighted.errors()["rmse"] == pytest.approx({"E": math.sqrt(13 / 4), "Fa": math.sqrt(of_weighted)})
    rows = {(row.field, row.of): row for row in table.rows()}
    assert {key: row.count for key, row in rows.items()} == {
        ("E", "all"): 2,
        ("E", "per atom"): 2,
        ("Fa", "all"): 7,
        ("Fa", "H"): 5,
        ("Fa", "O"): 2,
    }
    assert rows["Fa", "H"].mae == pytest.approx((3 + 12) / 5)
    assert rows["E", "per atom"].max == 1


def test_what_has_no_labels_has_no_errors() -> None:
    sums, table = MetricSums(torch.device("cpu"), {"rmse": {"Fa": 1.0}}), ErrorTable(["Fa"])
    predicted, batch = two_batches()[1]
    sums.update(predicted, batch)
    table.update(predicted, batch)
    assert math.isnan(sums.errors()["rmse"]["Fa"])
    assert sums.counts() == {"Fa": 0}
    assert sums.are_finite()
    assert table.rows() == []


def test_a_prediction_that_is_not_a_number_shows() -> None:
    sums = MetricSums(torch.device("cpu"), {"rmse": {"E": 1.0}})
    predicted, batch = two_batches()[0]
    sums.update(predicted | {"E": torch.tensor([math.nan, 0.0])}, batch)
    assert not sums.are_finite()
