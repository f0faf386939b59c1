"""Reports made again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from reports import Page
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli


def test_report_is_made_again_without_the_data_file(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = {path.name: path.read_bytes() for path in (copied / "out/FF01-SchNet/plots").iterdir()}
    shutil.rmtree(copied / "out/FF01-SchNet/plots")
    (copied / "out/FF01-SchNet/report.html").unlink()
    shutil.rmtree(copied / "out/logs")
    path = copied / "out/FF01-SchNet/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "warnings": ["'F' (Fa) <looks> odd."]}))
    assert cli.main(["report", "out"]) == 0
    assert capsys.readouterr().out == "out/FF01-SchNet/report.html\n"
    assert {path.name: path.read_bytes() for path in (copied / "out/FF01-SchNet/plots").iterdir()} == first
    text = Page(copied / "out/FF01-SchNet/report.html").text
    assert "Errors on the test part" in text
    assert "'F' (Fa) <looks> odd." in text


def test_every_model_of_a_folder_has_its_report(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an earlier configuration too, which was kept."""
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, toy_config(Trainer__max_epochs=1))
    assert cli.main(["train", "train.yaml"]) == 0
    write_config(tmp_path, toy_config(Trainer__max_epochs=2, Modelhub__FF01__suffix="more"))
    assert cli.main(["train", "train.yaml"]) == 0
    assert not list(tmp_path.glob("*/report.html"))
    assert cli.main(["report", "."]) == 0
    for name, epochs in (("FF01-SchNet", 1), ("FF01-SchNet-more", 2)):
        assert f"{epochs} epochs; the best one was" in Page(tmp_path / name / "report.html").text


@pytest.mark.parametrize(
    ("prepared", "message"),
    [
        (lambda out: (out / "config.yaml").unlink(), "no trained model of a config.yaml is here"),
        (lambda out: (out / "FF01-SchNet/history.csv").write_text("epoch,x\n1\n"), "no history of a training"),
        (lambda out: (out / "FF01-SchNet/history.csv").unlink(), "there is no training to report on"),
        (lambda out: (out / "FF01-SchNet/metrics.json").write_text("[1]"), "no metrics of a training"),
        (lambda out: (out / "FF01-SchNet/run.json").write_text("{}"), "no record of a run"),
        (lambda out: (out / "FF01-SchNet/last.safetensors").unlink(), "last.safetensors: no potential here"),
        (lambda out: shutil.rmtree(next(out.glob("processed*"))), "there is no processed data set here"),
        (lambda out: (out / "FF01-SchNet/report.html").write_text("my notes"), "is no report that pyg_nnp wrote"),
    ],
)
def test_mistakes(copied: Path, capsys: pytest.CaptureFixture[str], prepared: Any, message: str) -> None:
    prepared(copied / "out")
    assert cli.main(["report", "out"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_plots_are_not_written_through_a_link(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "elsewhere").mkdir()
    shutil.rmtree(copied / "out/FF01-SchNet/plots")
    (copied / "out/FF01-SchNet/plots").symlink_to(copied / "elsewhere")
    assert cli.main(["report", "out"]) == 2
    assert "outside of out" in capsys.readouterr().err
    assert not list((copied / "elsewhere").iterdir())


def test_a_training_that_goes_on_has_a_report_without_metrics(copied: Path) -> None:
    (copied / "out/FF01-SchNet/metrics.json").unlink()
    assert cli.main(["report", "out"]) == 0
    assert "has not ended; 3 epochs so far" in Page(copied / "out/FF01-SchNet/report.html").text


def test_output_folder_of_the_version_before(copied: Path) -> None:
    """It has no run.json and no seconds: the page leaves out what they say, and nothing is taken from a log."""
    model = copied / "out/FF01-SchNet"
    (model / "run.json").unlink()
    rows = [line.rpartition(",")[0] for line in (model / "history.csv").read_text().splitlines()]
    (model / "history.csv").write_text("\n".join(rows) + "\n")
    before = (model / "plots/learning_curves.png").read_bytes()
    assert cli.main(["report", "out"]) == 0
    text = Page(model / "report.html").text
    assert "3 epochs; the best one was" in text
    for fact in ("Time", "Warnings", "Trained with", "median"):
        assert fact not in text, fact
    assert (model / "plots/learning_curves.png").read_bytes() == before
