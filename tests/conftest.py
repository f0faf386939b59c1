import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from molecules import some_molecules
from reports import HOSTILE
from torch_geometric.data import Batch, Data
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli
from pyg_nnp.errors import UserError
from pyg_nnp.training import results

# a given number: a training does not choose one, and so has the same bits as another
os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))


@pytest.fixture(autouse=True)
def _mistakes_in_reports_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be made is a warning; in tests only where files or data are the reason."""
    warn = results.warn_of_no_report

    def warn_or_fail(name: str, out: Path, error: Exception) -> None:
        if not isinstance(error, OSError | UserError):
            raise error
        warn(name, out, error)

    monkeypatch.setattr(results, "warn_of_no_report", warn_or_fail)


@pytest.fixture
def molecules() -> list[Data]:
    return some_molecules()


@pytest.fixture
def batch(molecules: list[Data]) -> Batch:
    return Batch.from_data_list(molecules)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with the toy data set in it."""
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model in ``out``, of data in a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("work")
    (folder / HOSTILE).mkdir(parents=True)
    write_toy(folder / HOSTILE, names=("H2O", "CH3OH"))
    changes = {"data_path": f"{HOSTILE}/dataset.pkl", "transforms__atomic_energy": f"{HOSTILE}/atomic_energy.csv"}
    document = toy_config(Trainer__report=True, **{f"Datahub__{key}": value for key, value in changes.items()})
    write_config(folder, document)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    return folder


@pytest.fixture
def copied(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a copy of the trained model alone, without data file."""
    shutil.copytree(reported / "out", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data of three molecules and a trained model in ``out``; tests may write beside it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_toy(folder, names=("H2O", "CH4", "C2H6"))
        write_config(folder, yaml.safe_dump(toy_config(Metrics={"rmse": {"E": 1, "Fa": 1, "M2": 1}, "mae": {"Qa": 1}})))
        assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    return folder


@pytest.fixture
def trained_folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the trained model, which is the working directory."""
    monkeypatch.chdir(trained)
    return trained
