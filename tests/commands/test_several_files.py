"""Commands on several data files, which are one data set."""

import pickle
import re
from pathlib import Path

import pytest
import yaml
from ase.io import read
from command_line import MODEL, refused
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write ``a.pkl`` and ``b.pkl`` with 16 and 8 frames."""
    monkeypatch.chdir(tmp_path)
    frames = write_toy(tmp_path, 24, ("H2O", "CH4"))
    Path("a.pkl").write_bytes(pickle.dumps(frames[:16]))
    Path("b.pkl").write_bytes(pickle.dumps(frames[16:]))
    return tmp_path


def test_init_check_train_evaluate_predict(two_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "a.pkl", "b.pkl", "-o", "first.yaml"]) == 0
    first = yaml.safe_load(Path("first.yaml").read_text())
    assert first["Datahub"]["data_path"] == ["a.pkl", "b.pkl"]
    assert cli.main(["init", "[ab].pkl", "-o", "pattern.yaml"]) == 0
    assert yaml.safe_load(Path("pattern.yaml").read_text())["Datahub"]["data_path"] == "[ab].pkl"
    files = {"method": "files", "training": ["a.pkl"], "validation": ["b.pkl"]}
    config = toy_config(Datahub__data_path=["a.pkl", "b.pkl"], Trainer__Splitter=files)
    write_config(two_files, config)
    assert cli.main(["check", "train.yaml", "-o", "checked"]) in (0, 1)
    assert "training 16, validation 8" in capsys.readouterr().err
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    assert "training 16, validation 8" in capsys.readouterr().err
    # what the training wrote can be given to it
    assert cli.main(["train", "out/config.yaml", "-o", "out", "--resume"]) == 0
    assert cli.main(["evaluate", MODEL, "--part", "validation"]) == 0
    of_part = capsys.readouterr().out
    assert cli.main(["evaluate", MODEL, "b.pkl"]) == 0
    assert capsys.readouterr().out == of_part
    assert cli.main(["evaluate", MODEL, "b.pkl", "a.pkl"]) == 0
    assert cli.main(["predict", MODEL, "a.pkl", "b.pkl", "-o", "both.xyz"]) == 0
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", "one.xyz"]) == 0
    both, one = (read(name, ":") for name in ("both.xyz", "one.xyz"))
    assert [atoms.get_potential_energy() for atoms in both] == [atoms.get_potential_energy() for atoms in one]


def test_frames_are_named_by_their_files(two_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = pickle.loads(Path("b.pkl").read_bytes())
    frames[3]["energy"] += 1e4
    Path("b.pkl").write_bytes(pickle.dumps(frames))
    write_config(two_files, toy_config(Datahub__data_path=["a.pkl", "b.pkl"], Trainer__learning_rate=1e30))
    message = refused(capsys, "train", "train.yaml", "-o", "out")
    assert "robust standard deviations" in message
    assert re.search(r"'energy' \(E\) is \S+ in frame 3 of b.pkl,", message)
    (of_batch,) = re.findall(r"Its frames are (.*?)\. The largest force in the data is \S+, in frame (.*?)\. ", message)
    names = {f"{i} of a.pkl" for i in range(16)} | {f"{i} of b.pkl" for i in range(8)}
    assert of_batch[1] in of_batch[0].split(", ")
    assert set(of_batch[0].split(", ")) <= names


def test_mistakes(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = pickle.loads(Path("dataset.pkl").read_bytes())
    frames[2]["coordinates"][0] = frames[2]["coordinates"][1]
    Path("broken.pkl").write_bytes(pickle.dumps(frames))
    message = refused(capsys, "predict", MODEL, "dataset.pkl", "broken.pkl", "-o", str(tmp_path / "p.xyz"))
    assert "frame 2 of broken.pkl: 'coordinates' (Ra) puts atoms" in message
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", "some.xyz"]) == 0
    capsys.readouterr()
    message = refused(capsys, "predict", MODEL, "dataset.pkl", "some.xyz", "-o", str(tmp_path / "p.xyz"))
    assert "these files are of several formats: extxyz, pickle. Predict those of each by themselves." in message
    assert "there is no such file" in refused(capsys, "evaluate", MODEL, "dataset.pkl", "nowhere.pkl")
