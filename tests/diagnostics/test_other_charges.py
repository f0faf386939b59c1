"""A second total charge that differs from the one that is read is told."""

from pathlib import Path
from typing import Any

import pytest
from frame_files import dump
from toy import toy_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.other_charges import check_other_charges


@pytest.mark.parametrize(
    ("name", "values", "warning"),
    [
        ("charge", [0] * 8, None),
        ("charge", [0, 1, 0, -1] + [0] * 4, "frames 1, 3: 'total_charge' (Q) is 0, but 'charge' is 1. Read the one"),
        ("charge", [None, *[0] * 7], None),
        ("charge", ["much"] * 8, None),
        ("net", [1] * 8, None),
        ("dft_charge", [0, 1] + [0] * 6, "frame 1: 'total_charge' (Q) is 0, but 'dft_charge' is 1. Read the one"),
        ("dft_charge", [0.5, 1] + [0] * 6, None),
        ("tot_charge", [0.5] + [0] * 7, "frame 0: 'total_charge' (Q) is 0, but 'tot_charge' is 0.5. Read the one"),
    ],
)
def test_another_total_charge(
    name: str, values: list[Any], warning: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = write_toy(tmp_path, len(values))
    for frame, value in zip(frames, values, strict=True):
        frame[name] = value
    dump(tmp_path / "dataset.pkl", frames)
    config = config_from_dict(toy_config(), "here")
    found = check_other_charges(config, MoleculeDataset.from_config(config, "out"))
    assert len(found) == (0 if warning is None else 1)
    assert warning is None or str(found[0]).startswith(f"dataset.pkl: {warning}")


def test_a_charge_that_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frames = write_toy(tmp_path, 8)
    for frame in frames:
        frame["ionisation_charge"] = frame.pop("total_charge") * 0 + 1
    dump(tmp_path / "dataset.pkl", frames)
    document = toy_config()
    del document["Datahub"]["features"]["Q"]
    config = config_from_dict(document, "here")
    (found,) = check_other_charges(config, MoleculeDataset.from_config(config, "out"))
    assert "Q, which is not in the file, is 0, but 'ionisation_charge' is 1. Read the one" in str(found)
