"""pyg-nnp check, and warnings before a training."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from planted import report
from small_set import FRAMES, config
from torch import Tensor
from toy import write_config, write_toy
from toy_training import run_toy

from pyg_nnp.commands import cli
from pyg_nnp.data.frames import Frames, Selection
from pyg_nnp.diagnostics import charges, forces, near_slopes, sample


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
    """Only the last frame has carbon; a random split takes it into the training part, one by order does not."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, frames=8, names=("H2O",) * 7 + ("CH4",))
    splitter = {"parts": ["training", "validation"], "ratios": [0.5, 0.5], "method": "order" if said else "random"}
    run_toy(Path("out"), Trainer__Splitter=splitter, Trainer__batch_size=2, Trainer__max_epochs=1)
    (log,) = (tmp_path / "out/logs").iterdir()
    assert ("No frame of the training part has C:" in log.read_text()) is said


class FirstStepError(Exception):
    """Raised where the first step has its gradients."""


@pytest.mark.parametrize("atomic_energy", ["atomic_energy.csv", "fit"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_frames_are_passed_over_once_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atomic_energy: str, in_memory: bool
) -> None:
    """Once for the store and once for the summary, if the data are new; never again for what the summary holds."""
    samples = {(near_slopes, "_FRAMES"): 10, (forces, "_BONDS"): 5, (charges, "_FRAMES"): 10, (sample, "_SMALL"): 5}
    # whatever the size of the data
    assert sum(getattr(module, name) for module, name in samples) <= 5000
    for (module, name), number in samples.items():
        monkeypatch.setattr(module, name, number)
    monkeypatch.chdir(tmp_path)
    number_of_frames = 200
    write_toy(tmp_path, number_of_frames, ("H2O", "CH3OH", "CH4"))
    frames_read = 0
    select = Frames.select

    def counting(self: Frames, frames: Tensor) -> Selection:
        nonlocal frames_read
        frames_read += len(frames)
        return select(self, frames)

    def stop(*args: Any, **options: Any) -> None:
        raise FirstStepError

    monkeypatch.setattr(Frames, "select", counting)
    monkeypatch.setattr(Tensor, "backward", stop)
    changes = {
        "Datahub__in_memory": in_memory,
        "Datahub__transforms": {"atomic_energy": atomic_energy, "negative_gradient": True}
        | {"total_energy_normalization": True},
    }
    found = []
    for out in ("out", "out", "other"):
        frames_read = 0
        with pytest.raises(FirstStepError):
            run_toy(Path(out), **changes)
        found.append(frames_read / number_of_frames)
    # near frames are looked at in runs of ten of each of three molecules
    at_most = (sum(samples.values()) + 3 * 10 + 20) / number_of_frames
    assert 1 <= found[0] <= 1 + at_most
    assert found[1] <= at_most
    assert found[2] == found[0]
