from pathlib import Path

import pytest
from command_line import MODEL, refused

from pyg_nnp.commands import cli


def test_info(trained_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store,) = Path("out").glob("processed_dataset_*")
    for what, expected in {
        MODEL: [
            "SchNet with",
            "trained on H, C, O",
            "compositions: C2H6, CH4, H2O",
            "27.211386 eV",
            "cutoff_sr 4.0",
            "trained on dataset.pkl",
        ],
        f"{MODEL}/last.safetensors": ["last.safetensors: SchNet"],
        "dataset.pkl": ["pickle", "coordinates: (3, 3) float64  probably Ra, positions"],
        str(store): ["24 frames, undamaged", "E: (24,), total energy, in the file: energy"],
    }.items():
        assert cli.main(["info", what]) == 0
        text = capsys.readouterr().out
        assert all(part in text for part in expected), text
    assert "In it are: FF01-SchNet, processed_dataset_" in refused(capsys, "info", "out")
    assert "this is no data file of a known format" in refused(capsys, "info", "train.yaml")
