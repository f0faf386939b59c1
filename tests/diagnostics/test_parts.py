"""Parts without labels, and checks of data that have labels in part of their frames."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gaps import config_with_gaps, write_with_gaps
from planted import Frame, report
from small_set import FRAMES, config
from toy import toy_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.parts import check_labels, check_parts
from pyg_nnp.errors import DataError

TARGETS = ("E", "Fa", "Qa", "M2")


def said_of(frames: list[Frame], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    document = config()
    document["Datahub"]["allow_missing"] = list(TARGETS)
    code, said = report(document, frames, folder, capsys)
    return code, " ".join(said.split())


def thinned(share: float = 0.3) -> list[Frame]:
    rng, frames = np.random.default_rng(1), copy.deepcopy(FRAMES)
    for frame in frames:
        for name in TARGETS:
            if rng.random() < share:
                frame[name] = np.full(np.shape(frame[name]), np.nan)
    return frames


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_right_data_with_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float) -> None:
    code, said = said_of(thinned(share), tmp_path, capsys)
    assert "Warnings: none." in said
    assert code == 0


def negated(frames: list[Frame]) -> None:
    for frame in frames:
        frame["Fa"] = -frame["Fa"]


def outlying(frames: list[Frame]) -> None:
    next(frame for frame in frames if np.isfinite(frame["E"]))["E"] += 50.0


def shifted(frames: list[Frame]) -> None:
    next(frame for frame in frames if np.isfinite(frame["Qa"]).all())["Qa"][0] += 0.25


def turned(frames: list[Frame]) -> None:
    for frame in frames:
        frame["M2"] = -np.asarray(frame["M2"])


def copied(frames: list[Frame]) -> None:
    full = [i for i, frame in enumerate(frames) if np.isfinite(frame["E"])]
    frames[full[0]] = copy.deepcopy(frames[full[1]] | {"E": frames[full[1]]["E"] + 1e-3})


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (negated, "looks like forces, which negative_gradient turns into gradients"),
        (outlying, "robust standard deviations from what"),
        (shifted, "does not add up to"),
        (turned, "points the wrong way"),
        (copied, "contradicts itself in 1 group"),
    ],
)
def test_mistakes_are_found_among_gaps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plant: Callable[[list[Frame]], None], expected: str
) -> None:
    frames = thinned()
    plant(frames)
    code, said = said_of(frames, tmp_path, capsys)
    assert expected in said
    assert code == 1


def test_parts_need_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frames = write_with_gaps(tmp_path)
    read = config_from_dict(config_with_gaps())
    summary = MoleculeDataset.from_config(read, "out").summary
    without = torch.tensor([i for i, frame in enumerate(frames) if frame.get("forces") is None])
    rest = torch.tensor([i for i in range(len(frames)) if i not in without])
    for part, error in (("training", DataError), ("validation", DataError), ("test", None)):
        parts = {name: without if name == part else rest for name in ("training", "validation", "test")}
        (finding,) = check_labels(read, summary, parts, ["FF01"])
        assert (finding.field, finding.error) == ("Fa", error)
        assert finding.text == f"No frame of the {part} part has 'Fa' (forces)."
    assert check_labels(read, summary, {"training": rest, "validation": rest}, ["FF01"]) == []


@pytest.mark.parametrize(("atomic_energy", "error"), [("fit", DataError), ("atomic_energy.csv", None), (None, None)])
def test_elements_that_the_training_part_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atomic_energy: str | None, error: type[DataError] | None
) -> None:
    """They are an error of ``check``, too, where references cannot be fitted."""
    monkeypatch.chdir(tmp_path)
    frames = write_toy(tmp_path, names=("H2O", "CH4"))
    read = config_from_dict(toy_config(Datahub__transforms__atomic_energy=atomic_energy))
    summary = MoleculeDataset.from_config(read, "out").summary
    is_water = torch.tensor([len(frame["atomic_numbers"]) == 3 for frame in frames])
    water, methane = (of_kind.nonzero().flatten() for of_kind in (is_water, ~is_water))
    (finding,) = check_parts(read, summary, {"training": water, "validation": methane}, [])
    assert (finding.kind, finding.error) == ("elements without training", error)
    assert finding.text == "No frame of the training part has C: predictions with it mean nothing."
    assert bool(finding.advice) == (error is not None)
