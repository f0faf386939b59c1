"""pyg-nnp check, and warnings before a training."""

import copy
import re
from pathlib import Path

import pytest
import torch
from planted import report
from small_set import FRAMES, config
from toy import write_config, write_toy
from toy_training import run_toy

from pyg_nnp.commands import cli


def test_an_error_of_the_configuration_comes_after_the_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = [one | {"Fa": 27.211386 * one["Fa"]} for one in FRAMES]
    code, said = report(config(), planted, tmp_path, capsys)
    assert code == 2
    assert said.index("in eV where energies are in Hartree") < said.index("ConfigError: ")


def test_check_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(config(), FRAMES, tmp_path, capsys)
    out = tmp_path / "out"
    assert {path.name.partition("_")[0] for path in out.iterdir()} == {"logs", "processed"}


def test_check_of_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path)
    assert cli.main(["check", "train.yaml"]) == 2
    assert "ConfigError: " in capsys.readouterr().err


def test_training_warns_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    document["Trainer"] |= {"max_epochs": 1}
    planted = copy.deepcopy(FRAMES)
    planted[3]["Q"] = 1.0
    report(document, planted, tmp_path, capsys)
    assert cli.main(["train", str(tmp_path / "train.yaml"), "-o", str(tmp_path / "trained")]) == 0
    assert re.search(r"frame 3: 'atomic_charges' \(Qa\) does not add up to", capsys.readouterr().err)
    assert (tmp_path / "trained/FF01-SchNet/metrics.json").exists()


@pytest.mark.parametrize("said", [False, True])
def test_elements_that_are_not_trained_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bool) -> None:
    """Only the last frame has carbon; it is in the training part or not."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, frames=8, names=("H2O",) * 7 + ("CH4",))
    in_training = {
        bool((torch.randperm(8, generator=torch.Generator().manual_seed(s))[:4] == 7).any()): s for s in range(20)
    }
    splitter = {"parts": ["training", "validation"], "ratios": [0.5, 0.5], "seed": in_training[not said]}
    run_toy(Path("out"), Trainer__Splitter=splitter, Trainer__batch_size=2, Trainer__max_epochs=1)
    (log,) = (tmp_path / "out/logs").iterdir()
    assert ("No frame of the training part has C:" in log.read_text()) is said
