"""What energies depend on besides atoms and charge, and nothing reads, is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_files import dump
from toy import toy_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.config_against_file import check_unread

NOTHING = "but makes no difference to what is predicted: nothing reads it. If the labels depend on it, train on"


def found(values: dict[str, list[Any]], folder: Path, **changes: Any) -> list[str]:
    """Return what is told of 8 frames of H2O and CH3, in turn, with values under further names."""
    frames = write_toy(folder, 8, ("H2O", "CH3"))
    for name, of_frames in values.items():
        for frame, value in zip(frames, of_frames, strict=True):
            frame |= {} if value is None else {name: value}
    dump(folder / "dataset.pkl", frames)
    config = config_from_dict(toy_config(**changes), "here")
    return [str(finding) for finding in check_unread(config, MoleculeDataset.from_config(config, folder / "out"))]


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        ("spin", [1, 2, 3, 2, 1, 2, 1, 2], "1, 3"),
        ("multiplicity", ["1", "2", "1", "4"] * 2, "'2', '4'"),
        ("Spin_Multiplicity", ["singlet", "doublet", "triplet", "doublet"] * 2, "'singlet', 'triplet'"),
        ("n_unpaired", [0, 1, 2, 3, 4, 5, 6, 7], "1, 3, 5 and 5 more"),
        ("spin", [1, 2, None, 2] * 2, "1, none"),
        ("electric_field", [np.zeros(3), np.zeros(3), np.array([0, 0, 0.1]), np.zeros(3)] * 2, "0 0 0, 0 0 0.1"),
        ("method", ["PBE", "PBE", "PBE", "PBE", "MP2", "PBE", "PBE", "PBE"], "'MP2', 'PBE'"),
        ("head", ["pbe", "pbe", "pbe", "pbe", "wb97m", "pbe", "pbe", "pbe"], "'pbe', 'wb97m'"),
    ],
)
def test_what_differs_is_told(
    name: str, values: list[Any], shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = found({name: values}, tmp_path)
    assert text.startswith(f"dataset.pkl: '{name}' differs between frames ({shown}), {NOTHING}")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("spin", [1, 2] * 4),  # the lowest of each molecule
        ("spin", [3] * 8),
        ("spin", [None] * 8),
        ("spins", [np.arange(3), np.arange(4)] * 4),  # of atoms
        ("electric_field", [np.zeros(3)] * 8),
        ("number", list(range(8))),
        ("method", ["PBE"] * 8),
        ("spinning", list(range(8))),
    ],
)
def test_what_does_not_differ_or_is_another_thing(
    name: str, values: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert found({name: values}, tmp_path) == []


def test_what_is_read_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as weights of the states, under a name of this kind."""
    monkeypatch.chdir(tmp_path)
    features = toy_config()["Datahub"]["features"] | {"weight": "state"}
    states = {"state": [1.0, 2.0] * 2 + [2.0, 1.0] * 2}
    assert found(states, tmp_path, Datahub__features=features) == []
    assert len(found(states, tmp_path)) == 1


def test_arrays_over_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frames = write_toy(tmp_path, 6)
    names = ("coordinates", "atomic_numbers", "energy", "forces")
    arrays = {name: np.stack([frame[name] for frame in frames]) for name in names}
    spin = {"spin": np.array([[1], [3]] * 3), "spin_density": np.random.default_rng(0).normal(size=(6, 3))}
    np.savez(tmp_path / "data.npz", **arrays, **spin)
    features = {"Ra": "coordinates", "Za": "atomic_numbers"}
    document = toy_config(Datahub__data_path="data.npz", Datahub__data_format="npz", Datahub__features=features)
    document["Datahub"]["targets"] = {"E": "energy", "Fa": "forces"}
    document["Modelhub"]["FF01"]["loss"] = document["Metrics"] = {"rmse": {"E": 1, "Fa": 1}}
    config = config_from_dict(document, "here")
    (finding,) = check_unread(config, MoleculeDataset.from_config(config, "out"))
    assert "'spin' differs between frames (1, 3)" in str(finding)
