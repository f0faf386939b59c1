"""Every count of a training on data with labels in part of the frames, from its log to its report."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from gaps import NAMES, Frame, frames_with, labels, write_config_with_gaps, write_with_gaps
from reports import Page, opened

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.training.report.collect import collect

MODEL = "out/FF01-SchNet"


@pytest.fixture(scope="module")
def trained_with_gaps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Frame]]:
    """A folder with a trained model in ``out``, and the frames of its data."""
    folder = tmp_path_factory.mktemp("gaps")
    frames = write_with_gaps(folder, frames=40, names=("H2O", "CH3OH"))
    write_config_with_gaps(folder, Trainer__report=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    return folder, frames


@pytest.fixture
def with_gaps(trained_with_gaps: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """The frames; the working directory has their model."""
    folder, frames = trained_with_gaps
    monkeypatch.chdir(folder)
    return frames


def parts_of(folder: Path) -> tuple[MoleculeDataset, dict[str, list[int]]]:
    _, dataset, parts = opened(folder)
    return dataset, {part: numbers.tolist() for part, numbers in parts.items()}


def test_the_log_says_how_many_frames_have_each_label(with_gaps: list[Frame]) -> None:
    (log,) = Path("out/logs").iterdir()
    text = log.read_text()
    for name in ("E", "Fa", "M2"):
        assert re.search(rf"^{name} .*? {frames_with(with_gaps, name)}  ", text, re.MULTILINE)
        assert 20 < frames_with(with_gaps, name) < 36
    some = sum(0 < labels(with_gaps, "Qa", [i]) < len(with_gaps[i]["coordinates"]) for i in range(40))
    assert some > 2
    assert re.search(rf"^Qa .*? {frames_with(with_gaps, 'Qa')} \({some} in part\)  ", text, re.MULTILINE)
    assert re.search(r"^Ra .*? 40  ", text, re.MULTILINE)
    assert "WARNING" not in text


def test_metrics_are_those_of_the_labels(with_gaps: list[Frame]) -> None:
    metrics = json.loads(Path(MODEL, "metrics.json").read_text())
    dataset, parts = parts_of(Path("out"))
    potential = pyg_nnp.load_potential(MODEL)
    for part in ("validation", "test"):
        expected = {name: labels(with_gaps, name, parts[part]) for name in NAMES} | {"Q": len(parts[part])}
        assert metrics[part]["count"] == expected
        batch = dataset.batch(torch.tensor(parts[part]))
        predicted = potential(batch)
        for name, found in metrics[part]["rmse"].items():
            errors = (predicted[name] - batch[name]).double()
            errors = errors[~errors.isnan()]
            assert len(errors) == expected[name]
            assert found == pytest.approx(float(errors.square().mean().sqrt()), rel=1e-5)
        assert metrics[part]["score"] == pytest.approx(sum(metrics[part]["rmse"].values()))
    with Path(MODEL, "history.csv").open() as file:
        assert all(math.isfinite(float(value)) for row in csv.DictReader(file) for value in row.values())


def test_report_has_the_labels_that_there_are(with_gaps: list[Frame]) -> None:
    dataset, parts = parts_of(Path("out"))
    test = parts["test"]
    found = collect(
        pyg_nnp.load_potential(MODEL), dataset, {"test": torch.tensor(test)}, [*NAMES, "Q"], 5, {"rmse": {"E": 1.0}}
    )
    page, html = Page(Path(MODEL, "report.html")), Path(MODEL, "report.html").read_text()
    for name in NAMES:
        number = labels(with_gaps, name, test)
        points = found.points[name]
        assert points.total == len(points.true) == len(points.predicted) == number
        assert np.isfinite(points.true).all()
        assert np.isfinite(points.predicted).all()
        (row,) = [row for row in found.rows if (row.field, row.of) == (name, "all")]
        assert row.count == number
        assert f'({name})</th><td>all</td><td class="n">{number}</td>' in html
        assert f"({name}): predicted against true" in page.text
        assert f"{number} numbers." in page.text
    elements = [row.count for row in found.rows if row.field == "Qa" and row.of != "all"]
    assert sum(elements) == labels(with_gaps, "Qa", test)
    worst = [frame.index for frame in found.worst]
    assert sorted(worst) == sorted([i for i in test if labels(with_gaps, "Fa", [i])])[: len(worst)]
    for frame in found.worst:
        assert set(frame.errors) == {name for name in NAMES if labels(with_gaps, name, [frame.index])} | {"Q"}
        assert np.isfinite(list(frame.errors.values())).all()


def test_evaluate_compares_what_there_is(with_gaps: list[Frame], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", MODEL, "dataset.pkl", "--json", "errors.json"]) == 0
    found = json.loads(Path("errors.json").read_text())
    said = " ".join(capsys.readouterr().err.split())
    for name, source in NAMES.items():
        assert found[name]["all"]["count"] == labels(with_gaps, name)
        assert f"{frames_with(with_gaps, name)} of 40 frames have '{source}' ({name})" in said
        assert all(math.isfinite(value) for of in found[name].values() for value in of.values())


def test_check_has_no_complaint(with_gaps: list[Frame], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "train.yaml"]) == 0
    assert "Warnings: none." in capsys.readouterr().err
