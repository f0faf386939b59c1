"""Mistakes planted in five data sets: which are reported; and how often right data are called wrong."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from planted import ENTIRE, HARTREE, Frame, plants, report

from pyg_nnp import load_config
from pyg_nnp.data import MoleculeDataset, preprocess

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "../shared/data"
SETS = {
    "alanine_dipeptide": ("examples/alanine_dipeptide/train.yaml", "Hartree"),
    "charged_molecules": ("examples/charged_molecules/train.yaml", "Hartree"),
    "md17_ethanol.npz": ("examples/md17.yaml", "kcal/mol"),
    "charged_molecules.h5": ("examples/charged_hdf5.yaml", "eV"),
    "qm9_1000.npz": ("examples/charged_hdf5.yaml", "Hartree"),
}
TRIES = 5
QM9 = {
    "data_format": "npz",
    "features": {"N": "N", "Ra": "R", "Za": "Z"},
    "targets": {"E": "U0", "Qa": "Q_mulliken"},
    "transforms": {"atomic_energy": "fit"},
}


def configuration(name: str) -> dict[str, Any]:
    path = ROOT / SETS[name][0]
    document = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", path.read_text()))
    hub = document["Datahub"]
    if name == "qm9_1000.npz":
        hub = document["Datahub"] = dict(QM9)
        model = document["Modelhub"]["charged"]
        model["build_params"]["Hartree_in_E"] = 1.0
        model["layers"] = [entry for entry in model["layers"] if entry["name"] not in ("AtomicCharge2Dipole", "Force")]
        model["loss"] = document["Metrics"] = {"rmse": {"E": 1, "Qa": 1}}
    folder = SHARED if "." in name else path.parent
    hub["data_path"] = str(folder / (name if "." in name else "dataset.pkl"))
    if hub["transforms"]["atomic_energy"] != "fit":
        hub["transforms"]["atomic_energy"] = str(path.parent / hub["transforms"]["atomic_energy"])
    return document


def frames_of(document: dict[str, Any], folder: Path) -> list[Frame]:
    """Read a data set into frames under standard names, forces as the file has them."""
    (folder / "original.yaml").write_text(yaml.safe_dump(document))
    dataset = MoleculeDataset(preprocess(load_config(folder / "original.yaml"), folder), dtype=torch.float64)
    sign = -1 if document["Datahub"]["transforms"].get("negative_gradient") else 1
    frames = []
    for data in dataset:
        frame = {field: data[field].numpy() for field in dataset.fields if field != "N"}
        frame |= {"Q": float(data.Q), "E": float(data.E)}
        frame |= {"Fa": sign * frame["Fa"]} if "Fa" in frame else {}
        frame |= {"M2": frame["M2"][0]} if "M2" in frame else {}
        frames.append(frame)
    return frames


def right_data(name: str, folder: Path) -> tuple[dict[str, Any], list[Frame]]:
    """Return the configuration and the frames of a data set, or skip the test."""
    document = configuration(name)
    if not Path(document["Datahub"]["data_path"]).exists():
        pytest.skip(f"{document['Datahub']['data_path']} is not there")
    return document, frames_of(document, folder)


@pytest.mark.parametrize("name", list(SETS))
def test_planted_errors_are_reported(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, frames = right_data(name, tmp_path)
    code, said = report(document, frames, tmp_path, capsys)
    assert code == 0, said
    fields = set(document["Datahub"]["features"]) | set(document["Datahub"]["targets"])
    ions = any(frame["Q"] for frame in frames)
    missed = {}
    for mistake, plant in plants(fields, ions, HARTREE[SETS[name][1]]).items():
        results = []
        tries = 1 if mistake in ENTIRE else TRIES
        for seed in range(tries):
            planted = copy.deepcopy(frames)
            expected = plant(planted, np.random.default_rng(seed))
            code, said = report(document, planted, tmp_path, capsys)
            results.append(code in (1, 2) and re.search(expected, said) is not None)
        with capsys.disabled():
            print(f"{name:22}{mistake:28}{sum(results)} of {tries} reported")
        if not all(results):
            missed[mistake] = results
    assert not missed


@pytest.mark.parametrize("name", list(SETS))
def test_right_data_are_not_called_wrong(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, frames = right_data(name, tmp_path)
    document["Trainer"]["Splitter"]["ratios"] = [0.6, 0.2, 0.2]
    alarms, parts = [], 0
    for size in (len(frames), 150, 50, 25):
        for seed in range(1 if size == len(frames) else 10):
            some = np.sort(np.random.default_rng(seed).choice(len(frames), size, replace=False))
            code, said = report(document, [frames[i] for i in some], tmp_path, capsys)
            parts += 1
            alarms += [said] if code and re.search(r"planted\.pkl: .*'\w+' \(", said) else []
    with capsys.disabled():
        print(f"{name:22}{len(alarms)} false alarms in {parts} parts of the data set")
    assert not alarms, alarms[0]
