"""Several files as one data set."""

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, preprocess, split_of
from pyg_nnp.data.checked_blocks import family_numbers
from pyg_nnp.errors import ConfigError, DataError

Frame = dict[str, Any]
NAMES = {"features": {"Ra": "R", "Za": "Z", "Q": "Q"}, "targets": {"E": "E", "Fa": "F"}}
SMILES = ("O", "CC", "[OH-]", "N#N")


def make_frames(count: int, seed: int) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [
        {
            "R": np.arange(n)[:, None] * [1.5, 0.0, 0.0] + rng.uniform(-0.2, 0.2, (n, 3)),
            "Z": np.array([8, 1, 1][:n]),
            "Q": -float(n == 2),
            "E": rng.normal(),
            "F": rng.normal(size=(n, 3)),
            "smiles": SMILES[int(rng.integers(4))],
            "molecule": int(rng.integers(3)),
        }
        for n in rng.integers(2, 4, count)
    ]


def write_pickle(path: Path, frames: list[Frame], **more: Any) -> None:
    path.write_bytes(pickle.dumps([{**frame, **more} for frame in frames]))


def write_hdf5(path: Path, frames: list[Frame]) -> None:
    """Write a group for each frame."""
    with h5py.File(path, "w") as file:
        for number, frame in enumerate(frames):
            for name, value in frame.items():
                file[f"{number:03d}/{name}"] = value


def config(data_path: Any, data_format: str | None = None, **splitter: Any) -> Config:
    model = {"architecture": "SchNet", "build_params": {}, "layers": [{"name": "Core"}], "loss": {"rmse": {"E": 1.0}}}
    document = {"Datahub": {"data_path": data_path, "data_format": data_format, **NAMES}}
    document |= {"Modelhub": {"FF": model}, "Trainer": {"Splitter": splitter}, "Metrics": {}}
    return config_from_dict(document)


@pytest.fixture
def three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """Write ``run2.pkl``, ``run10.pkl`` and ``other.h5`` with 5, 4 and 6 frames; return all frames."""
    monkeypatch.chdir(tmp_path)
    parts = [make_frames(count, seed) for seed, count in enumerate((5, 4, 6))]
    write_pickle(Path("run2.pkl"), parts[0])
    write_pickle(Path("run10.pkl"), parts[1])
    write_hdf5(Path("other.h5"), parts[2])
    return [frame for part in parts for frame in part]


THREE = ["run*.pkl", "other.h5"]


def test_files_of_several_formats_are_one_data_set(three_files: list[Frame]) -> None:
    dataset = MoleculeDataset.from_config(config(THREE), Path("out"))
    assert dataset.E.tolist() == [frame["E"] for frame in three_files]
    np.testing.assert_array_equal(dataset.Ra.numpy(), np.concatenate([frame["R"] for frame in three_files]))
    assert dataset.Q.tolist() == [frame["Q"] for frame in three_files]
    assert [tuple(start) for start in dataset.source.starts] == [("run2.pkl", 0), ("run10.pkl", 5), ("other.h5", 9)]
    # blocks of a file end with it, so those of two are two
    assert dataset.groups("files").tolist() == [0] * 5 + [1] * 4 + [2] * 6
    place = "run*.pkl, other.h5: frame 4 of run2.pkl, frames 0, 1 of run10.pkl, frame 5 of other.h5: 'E' (E) is 1."
    assert dataset.source.message("E", "is 1.", [4, 5, 6, 14]) == place


def test_store_depends_on_content_and_order_alone(three_files: list[Frame], caplog: pytest.LogCaptureFixture) -> None:
    folder = preprocess(config(THREE), Path("out"))
    Path("run2.pkl").rename("run1.pkl")
    caplog.set_level(logging.INFO)
    dataset = MoleculeDataset.from_config(config(THREE), Path("out"))
    assert dataset.folder == folder
    assert "preprocessed before" in caplog.text
    # under the name that it has now
    assert dataset.source.starts[0].name == "run1.pkl"
    assert preprocess(config(["other.h5", "run*.pkl"]), Path("out")) != folder
    write_pickle(Path("run10.pkl"), make_frames(4, 77))
    assert preprocess(config(THREE), Path("out")) != folder


def test_error_names_the_file_and_the_frame_in_it(three_files: list[Frame]) -> None:
    frames = make_frames(4, 1)
    frames[2]["E"] = np.nan
    write_pickle(Path("run10.pkl"), frames)
    with pytest.raises(DataError, match=r"^run\*\.pkl, other\.h5: frame 2 of run10\.pkl: 'E' \(E\) is nan;"):
        preprocess(config(THREE), Path("out"))
    frames[2]["E"] = "much"
    write_pickle(Path("run10.pkl"), frames)
    with pytest.raises(DataError, match=r"^run10\.pkl: frame 2: 'E' \(E\) holds text"):
        preprocess(config(THREE), Path("out"))
    # also in the first file, when nobody knows of others yet
    first = make_frames(5, 0)
    first[3]["F"] = np.full_like(first[3]["F"], np.inf)
    write_pickle(Path("run2.pkl"), first)
    with pytest.raises(DataError, match=r"^run\*\.pkl, other\.h5: frame 3 of run2\.pkl: 'F' \(Fa\) of atom 0 is"):
        preprocess(config(THREE), Path("out"))
    assert not list(Path("out").glob("*/dataset.h5"))


def test_a_file_without_frames_or_names_is_named(three_files: list[Frame]) -> None:
    write_pickle(Path("run10.pkl"), [{k: v for k, v in frame.items() if k != "F"} for frame in make_frames(4, 1)])
    with pytest.raises(DataError, match=r"^run10\.pkl: there is no 'F' \(Fa\)\."):
        preprocess(config(THREE), Path("out"))
    write_pickle(Path("run10.pkl"), [])
    with pytest.raises(DataError, match=r"^run10\.pkl: there are no frames in this file\."):
        preprocess(config(THREE), Path("out"))


def test_files_that_say_other_units_are_refused_before_they_are_read(
    three_files: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pickle(Path("run2.pkl"), make_frames(5, 0), energy_unit="eV")
    write_pickle(Path("run10.pkl"), make_frames(4, 1), energy_unit="Hartree")
    monkeypatch.setattr("pyg_nnp.data.checked_blocks.read_blocks", lambda *arguments, **options: pytest.fail("read"))
    message = r"says 'Hartree' in run10\.pkl, but 'eV' in run2\.pkl\. Give all in the same units\."
    with pytest.raises(DataError, match=message):
        preprocess(config(THREE), Path("out"))


@pytest.mark.parametrize(
    ("data_path", "error", "message"),
    [
        (["run2.pkl", "run3.pkl"], ConfigError, "there is no file 'run3.pkl', seen from"),
        ("walk*.pkl", ConfigError, "there is no file 'walk*.pkl', seen from"),
        (["run2.pkl", "run*.pkl"], DataError, "run2.pkl is there twice. Name each file once"),
    ],
)
def test_files_that_are_not_there_or_twice(
    three_files: list[Frame], data_path: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        preprocess(config(data_path), Path("out"))


def test_a_given_format_holds_for_all_files(three_files: list[Frame]) -> None:
    with pytest.raises(DataError, match=r"other\.h5: data_format is 'pickle', but this looks like an HDF5 file"):
        preprocess(config(THREE, "pickle"), Path("out"))


@pytest.mark.parametrize("group", ["smiles", "molecule"])
def test_frames_of_a_group_stay_together(three_files: list[Frame], group: str) -> None:
    ours = config(THREE, method="group", group=group, ratios=[0.4, 0.3, 0.3])
    dataset = MoleculeDataset.from_config(ours, Path("out"))
    parts = split_of(ours, dataset)
    values = [{three_files[frame][group] for frame in frames.tolist()} for frames in parts.values()]
    assert sum(map(len, values)) == len({frame[group] for frame in three_files})
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(15))
    # it is no field of frames
    assert "family" not in dataset[0]
    assert dataset.fields == ("N", "Ra", "Za", "Q", "E", "Fa")
    # the store has these groups, so that others have another one
    assert preprocess(config(THREE), Path("out")) != dataset.folder


def test_a_group_that_is_read_as_something_else_too(three_files: list[Frame]) -> None:
    """The total charge from SMILES, as in SPICE."""
    ours = config(THREE, method="group", group="smiles", ratios=[0.4, 0.3, 0.3])
    ours.Datahub.features = {"Ra": "R", "Za": "Z", "Q": "smiles"}
    dataset = MoleculeDataset.from_config(ours, Path("out"))
    assert dataset.Q.tolist() == [-float(frame["smiles"] == "[OH-]") for frame in three_files]
    assert len(torch.unique(dataset.groups("group"))) == len({frame["smiles"] for frame in three_files})


def test_frames_without_a_group_are_refused(three_files: list[Frame]) -> None:
    ours = config(THREE, method="group", group="smile")
    with pytest.raises(DataError, match=r"run2\.pkl: there is no 'smile' \(family\)\. Did you mean 'smiles'\?"):
        preprocess(ours, Path("out"))


def test_numbers_of_groups_are_those_of_their_texts() -> None:
    numbers = family_numbers(np.array(["a", "b", "a", ""]))
    assert numbers[0] == numbers[2]
    assert len(set(numbers.tolist())) == 3
    # hashlib.sha256(b"a").digest()[:8], as whole number: what is stored does not depend on the block
    assert numbers[0] == int.from_bytes(bytes.fromhex("ca978112ca1bbdca"), "little", signed=True)


def test_parts_by_files(three_files: list[Frame], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ours = config(THREE, method="files", training=["run*.pkl"], test="other.h5")
    dataset = MoleculeDataset.from_config(ours, Path("out"))
    parts = split_of(ours, dataset)
    assert {part: frames.tolist() for part, frames in parts.items()} == {
        "training": list(range(9)),
        "test": list(range(9, 15)),
    }
    split_of(ours, dataset)
    assert "split loaded from" in caplog.text
    fewer = config(THREE, method="files", training="run2.pkl", validation="other.h5")
    parts = split_of(fewer, dataset)
    assert {part: len(frames) for part, frames in parts.items()} == {"training": 5, "validation": 6}
    assert "files: in no part: run10.pkl." in caplog.text
    # the same patterns, but other files under their names
    Path("run2.pkl").rename("walk0.pkl")
    moved = config(["walk0.pkl", *THREE], method="files", training="run*.pkl", test=["walk*.pkl", "other.h5"])
    parts = split_of(moved, MoleculeDataset.from_config(moved, Path("out")))
    assert parts["training"].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("data_path", "splitter", "message"),
    [
        (THREE, {"training": "run3.pkl"}, "Trainer.Splitter.training: 'run3.pkl' is none of the files of Datahub."),
        (THREE, {"training": "run*", "test": "run2.pkl"}, "Splitter: run2.pkl is in the parts training and test."),
        ("run2.pkl", {"training": "run2.pkl"}, "Trainer.Splitter.method: files: there is one data file alone."),
    ],
)
def test_mistakes_in_parts_by_files(
    three_files: list[Frame], data_path: Any, splitter: dict[str, Any], message: str
) -> None:
    ours = config(data_path, method="files", **splitter)
    dataset = MoleculeDataset.from_config(ours, Path("out"))
    with pytest.raises(ConfigError, match=re.escape(message)):
        split_of(ours, dataset)


@pytest.mark.parametrize(("name", "said"), [("E", ""), ("e", " Did you mean 'E'?")])
def test_a_label_that_no_frame_has(name: str, said: str, three_files: list[Frame]) -> None:
    write_pickle(Path("none.pkl"), three_files, E=float("nan"))
    document = config("none.pkl").model_dump()
    document["Datahub"] |= {"targets": {"E": name, "Fa": "F"}, "allow_missing": ["E"]}
    what = f"'{name}' (E) is missing in all frames.{said} Correct the name, or take E out of the targets."
    with pytest.raises(DataError, match=re.escape(what)):
        MoleculeDataset.from_config(config_from_dict(document), Path("out"))


@pytest.mark.parametrize("write", [write_pickle, write_hdf5])
def test_total_charges_that_some_frames_lack(
    write: Any, three_files: list[Frame], caplog: pytest.LogCaptureFixture
) -> None:
    """They are 0 where the configuration says that they may be missing, and the log says in how many frames."""
    caplog.set_level(logging.INFO)
    charges = [frame["Q"] for frame in three_files]
    kept = [frame if frame["Q"] else {key: frame[key] for key in frame if key != "Q"} for frame in three_files]
    write(Path("some"), kept)
    with pytest.raises(DataError, match=r"there is no 'Q' \(Q\)\..* write Q in Datahub\.allow_missing"):
        MoleculeDataset.from_config(config("some"), Path("out"))
    document = config("some").model_dump()
    document["Datahub"]["allow_missing"] = ["Q"]
    assert MoleculeDataset.from_config(config_from_dict(document), Path("out")).Q.tolist() == charges
    assert 0 < charges.count(0) < len(charges)
    assert f"some: 'Q' (Q) is missing in {charges.count(0)} frames: it is taken to be 0." in caplog.text
    document["Datahub"]["features"]["Q"] = "q"
    what = r"'q' \(Q\) is missing in all frames\. Did you mean 'Q'\? Correct the name, or take Q out of the features"
    with pytest.raises(DataError, match=what):
        MoleculeDataset.from_config(config_from_dict(document), Path("out"))
