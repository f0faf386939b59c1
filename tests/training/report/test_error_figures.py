import json
from pathlib import Path

import numpy as np
import pytest
from reports import HARTREE

from pyg_nnp.training.metrics import ErrorRow
from pyg_nnp.training.report.error_figures import error_figures, parity
from pyg_nnp.training.report.page import Picture
from pyg_nnp.training.report.scene import scene
from pyg_nnp.training.report.types import Evaluation, Frame, Points


def test_predictions_that_are_not_finite_are_drawn_and_come_first() -> None:
    odd = np.array([1.0, np.nan, np.inf, 2.0])
    assert len(Picture.of(parity("Fa", Points(np.arange(4.0), odd, 4), "test", np.nan, np.nan, HARTREE)).png) > 1000
    nothing = np.full(4, np.nan)
    assert len(Picture.of(parity("E", Points(np.arange(4.0), nothing, 4), "test", np.nan, np.nan, HARTREE)).png) > 1000
    frame = Frame(0, "0", np.array([8, 1]), np.eye(3)[:2], {"Fa": np.nan}, np.array([np.nan, 0.5]))
    found = scene([frame], 1.0, "eV/Å")
    json.dumps(found, allow_nan=False)
    assert np.isfinite(found["frames"][0]["errors"]).all()


def test_many_points_are_counted(tmp_path: Path) -> None:
    true = np.random.default_rng(0).normal(size=30_000)
    figure = parity("Fa", Points(true, true + 0.1, 30_000), "test", 0.1, 0.1, HARTREE)
    assert any(text.get_text().startswith("test part") for text in figure.axes[0].texts)
    assert [type(part).__name__ for part in figure.axes[0].collections] == ["PolyCollection"]
    assert len(Picture.of(figure).png) > 1000


def test_charges_have_the_colour_of_their_element() -> None:
    true = np.random.default_rng(0).normal(size=30_000)
    Za = np.array([7, 8, 7] * 10_000)
    axes = parity("Qa", Points(true, true + 0.1, 30_000, 1.0, Za), "test", 0.1, 0.1, HARTREE).axes[0]
    drawn = {line.get_label(): len(line.get_xdata()) for line in axes.lines if line.get_label() in ("N", "O")}
    assert sum(drawn.values()) == 10_000
    assert drawn["N"] == pytest.approx(2 * drawn["O"], rel=0.1)
    assert axes.get_legend() is not None


def test_sums_of_charges_are_compared_where_they_differ() -> None:
    for charges, drawn in (([0.0, 0.0], []), ([0.0, 1.0], ["parity_Q"])):
        points = Points(np.array(charges), np.array([0.1, 0.9]), 2)
        row = ErrorRow("Q", "all", 2, 0.1, 0.1, 0.1)
        assert list(error_figures(Evaluation("test", 2, {}, {"Q": points}, [row], [], "Q"), HARTREE)) == drawn
