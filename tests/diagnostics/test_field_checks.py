"""What the checks of a data set return, and that log, table and exit status say the same."""

import copy
from pathlib import Path

import pytest
from planted import Frame, report
from small_set import FRAMES, config

from pyg_nnp.config import load_config
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.diagnostics.field_checks import examine
from pyg_nnp.diagnostics.finding import Finding


def findings_of(frames: list[Frame], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[Finding]]:
    """Return what the command says of some frames, and the findings."""
    code, said = report(config(), frames, folder, capsys)
    read = load_config(folder / "train.yaml")
    dataset = MoleculeDataset.from_config(read, folder / "other")
    parts = split_dataset(read.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    table, findings = examine(read, dataset, parts)
    assert all(line in said for line in table.splitlines())
    assert code == (1 if findings else 0)
    assert f"Warnings: {len(findings) or 'none'}." in said
    for finding in findings:
        assert f"WARNING: {finding}\n" in said
    return said, list(findings)


def test_right_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert findings_of(FRAMES, tmp_path, capsys)[1] == []


def test_copies_and_a_charge_that_does_not_go_with_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = copy.deepcopy(FRAMES)
    frames[20] = copy.deepcopy(frames[40] | {"E": frames[40]["E"] + 1e-3})
    frames[7]["Qa"][0] += 0.25
    said, findings = findings_of(frames, tmp_path, capsys)
    by_kind = {finding.kind: finding for finding in findings}
    assert by_kind["duplicates"].frames == (40,)
    assert by_kind["duplicates"].field == "Ra"
    charges = by_kind["sum of charges"]
    assert (charges.field, charges.frames) == ("Qa", (7,))
    assert charges.numbers["error"] == pytest.approx(0.25, abs=1e-6)
    assert charges.advice == "Correct one of them."
    contradiction = by_kind["contradiction"]
    assert contradiction.field == "E"
    assert contradiction.numbers["largest"] - contradiction.numbers["smallest"] == pytest.approx(1e-3)
    assert said.count("WARNING: ") == len(findings) + 2  # in the rows of Ra and Qa of the table


def test_sign_and_unit_of_forces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [frame | {"Fa": -0.529177 * frame["Fa"]} for frame in FRAMES]
    _, findings = findings_of(frames, tmp_path, capsys)
    assert [finding.kind for finding in findings] == ["sign of forces", "unit of forces"]
    assert findings[0].numbers["slope"] == pytest.approx(-0.529, rel=0.02)
    assert findings[1].numbers["factor"] == pytest.approx(0.529177)
    assert findings[1].frames == ()
