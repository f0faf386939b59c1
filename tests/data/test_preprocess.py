import logging
import multiprocessing
import os
import re
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from filelock import FileLock

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset, preprocess
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.store.writer import Disk
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS

Frame = dict[str, Any]
MakeConfig = Callable[..., Config]
WritePickle = Callable[..., Path]

SHARED_DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CSV = "atom_type,atomic_energy\nH,-0.5\nHe,-2.9\nO,-74.8\nNa,-161.8\n"
WITHOUT_Q = {"N": "n", "Ra": "xyz", "Za": "z"}


@pytest.fixture
def csv_path(tmp_path: Path) -> Path:
    path = tmp_path / "atoms.csv"
    path.write_text(CSV)
    return path


# of frames of one size
ARRAYS = {"xyz": "Ra", "z": "Za", "energy": "E"}


def without(frame: Frame, *names: str) -> Frame:
    return {name: value for name, value in frame.items() if name not in names}


def test_from_pickle_to_frames(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    write_pickle(frames)
    config = make_config()
    config.Trainer.dtype = "float64"
    dataset = MoleculeDataset.from_config(config, out)
    assert re.fullmatch(r"processed_dataset_[0-9a-f]{16}", dataset.folder.name)
    assert sorted(path.name for path in dataset.folder.iterdir()) == [".lock", "dataset.h5"]
    for data, frame in zip(dataset, frames, strict=True):
        for name, value in frame.items():
            expected = np.reshape(value, data[name].shape)
            np.testing.assert_array_equal(data[name].numpy(), expected)
    assert dataset.sources == config.Datahub.features | config.Datahub.targets
    config.Trainer.dtype = "float32"
    single = MoleculeDataset.from_config(config, out)[0]
    assert (single.E.dtype, single.Fa.dtype, single.Ra.dtype) == (torch.float64, torch.float32, torch.float64)


def test_store_is_used_again_and_says_so(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = write_pickle(frames)
    folder = preprocess(make_config(), out)
    assert "preprocessed before" not in caplog.text
    assert "no total charge" not in caplog.text
    written = (folder / "dataset.h5").stat().st_mtime_ns
    # neither the place nor the time of the file matters
    moved = path.rename(path.with_name("moved.pkl"))
    os.utime(moved, (0, 0))
    assert preprocess(make_config(data_path=str(moved)), out) == folder
    assert f"preprocessed before, loading {folder}" in caplog.text
    assert (folder / "dataset.h5").stat().st_mtime_ns == written
    preprocess(make_config(data_path=str(moved), preload=False), out)
    assert (folder / "dataset.h5").stat().st_mtime_ns > written


def test_edited_data_file_is_read_again(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    path = write_pickle(frames)
    before = path.stat()
    preprocess(make_config(), out)
    write_pickle([frames[0] | {"E": -1.5}, *frames[1:]])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert MoleculeDataset.from_config(make_config(), out)[0].E.item() == -1.5


def test_edited_csv_is_read_again(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, csv_path: Path
) -> None:
    write_pickle(frames)
    config = make_config(transforms={"atomic_energy": str(csv_path)})
    assert MoleculeDataset.from_config(config, out).atomic_energies == {1: -0.5, 2: -2.9, 8: -74.8, 11: -161.8}
    csv_path.write_text(CSV.replace("-0.5", "-0.4"))
    assert MoleculeDataset.from_config(config, out).atomic_energies == {1: -0.4, 2: -2.9, 8: -74.8, 11: -161.8}


def test_edited_mapping_is_obeyed(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    write_pickle(frames)
    preprocess(make_config(), out)
    targets = {"E": "q", "Fa": "grad", "Qa": "mulliken", "M2": "dip"}
    swapped = make_config(features=WITHOUT_Q | {"Q": "energy"}, targets=targets)
    assert MoleculeDataset.from_config(swapped, out).E.tolist() == [frame["Q"] for frame in frames]


def test_each_option_has_its_own_store(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, csv_path: Path
) -> None:
    write_pickle(frames)
    configs = [
        make_config(),
        make_config(compression=False),
        make_config(bohr_in_r=1.0),
        make_config(targets={"E": "energy"}),
        make_config(transforms={"negative_gradient": True}),
        make_config(transforms={"atomic_energy": "fit"}),
        make_config(transforms={"atomic_energy": str(csv_path)}),
        make_config(transforms={"total_energy_normalization": True}),
    ]
    assert len({preprocess(config, out) for config in configs}) == len(configs)
    assert len(list(out.iterdir())) == len(configs)


def test_compression_does_not_change_the_data(
    waters: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    write_pickle(waters)
    shared = MoleculeDataset.from_config(make_config(compression=True), out)
    full = MoleculeDataset.from_config(make_config(compression=False), out)
    assert shared.info.shared == {"N", "Za", "Q"}
    assert full.info.shared == frozenset()
    for one, other in zip(shared, full, strict=True):
        assert one.to_dict().keys() == other.to_dict().keys()
        assert all(torch.equal(one[name], other[name]) for name in (*shared.fields, "edge_index"))


def test_damaged_store_is_made_again(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_pickle(frames)
    folder = preprocess(make_config(), out)
    store = folder / "dataset.h5"
    store.write_bytes(store.read_bytes()[:1000])
    assert len(MoleculeDataset.from_config(make_config(), out)) == 4
    assert re.search(r"WARNING .*is cut short or damaged.* Preprocessing again\.", caplog.text)


def test_gradients_become_forces(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    write_pickle(frames)
    plain = MoleculeDataset.from_config(make_config(), out)
    forces = MoleculeDataset.from_config(make_config(transforms={"negative_gradient": True}), out)
    np.testing.assert_allclose(plain[0].Fa.numpy(), frames[0]["Fa"], rtol=1e-6)
    assert torch.equal(forces.Fa, -plain.Fa)
    assert torch.equal(forces.Ra, plain.Ra)


def test_energies_stay_total(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, csv_path: Path
) -> None:
    write_pickle(frames)
    transforms = {"atomic_energy": str(csv_path), "total_energy_normalization": True}
    dataset = MoleculeDataset.from_config(make_config(transforms=transforms), out)
    assert dataset.E.tolist() == [frame["E"] for frame in frames]


@pytest.mark.parametrize(
    ("transforms", "needed"),
    [
        ({"negative_gradient": True}, "Fa"),
        ({"atomic_energy": "atoms.csv"}, "E"),
        ({"atomic_energy": "fit"}, "E"),
        ({"total_energy_normalization": True}, "E"),
    ],
)
def test_transform_without_its_target(
    frames: list[Frame],
    make_config: MakeConfig,
    write_pickle: WritePickle,
    out: Path,
    transforms: dict[str, Any],
    needed: str,
) -> None:
    write_pickle(frames)
    message = rf"Datahub\.transforms\.{next(iter(transforms))} needs '{needed}' in Datahub\.targets, which has: Qa\."
    with pytest.raises(ConfigError, match=message):
        preprocess(make_config(targets={"Qa": "mulliken"}, transforms=transforms), out)


def test_missing_data_file(make_config: MakeConfig, write_pickle: WritePickle, out: Path, frames: list[Frame]) -> None:
    write_pickle(frames, "dataset.pkl")
    path = out.parent / "datset.pkl"
    with pytest.raises(
        ConfigError,
        match=r"data_path: there is no file '.*datset\.pkl', seen from '.*'\. Did you mean 'dataset\.pkl'\?",
    ):
        preprocess(make_config(data_path=str(path)), out)


def test_element_without_reference_energy(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, csv_path: Path
) -> None:
    csv_path.write_text(CSV.replace("He,-2.9\n", ""))
    write_pickle(frames)
    with pytest.raises(DataError, match=r"atoms\.csv: there is no energy for He, which frame 1 of .*data\.pkl has\."):
        preprocess(make_config(transforms={"atomic_energy": str(csv_path)}), out)


def test_total_charge_is_0_where_the_file_has_none(
    waters: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # more frames than a block has
    write_pickle([without(water, "Q") for water in waters * 250])
    dataset = MoleculeDataset.from_config(make_config(features=WITHOUT_Q), out)
    assert len(dataset) == 1250
    assert dataset.Q.tolist() == [0.0] * 1250
    assert caplog.text.count("no total charge Q is given; it is taken to be 0 for all frames") == 1


@pytest.mark.parametrize("name", [*FIELDS["Q"].aliases, "Q", "Total_Charge"])
def test_total_charge_that_the_file_has_must_be_mapped(
    waters: list[Frame], make_config: MakeConfig, tmp_path: Path, out: Path, name: str
) -> None:
    columns = {"n": "N", "xyz": "Ra", "z": "Za", "energy": "E", name: "Q"}
    arrays = {source: np.array([water[field] for water in waters]) for source, field in columns.items()}
    np.savez(tmp_path / "data.npz", **arrays)
    options = {"data_path": str(tmp_path / "data.npz"), "data_format": "npz", "targets": {"E": "energy"}}
    message = rf"data\.npz: '{name}' looks like the total charge, .* Add 'Q: {name}' there\."
    with pytest.raises(DataError, match=message):
        preprocess(make_config(features=WITHOUT_Q, **options), out)
    assert not out.exists()
    # under another field it is not the total charge
    options["targets"] = {"E": name}
    assert MoleculeDataset.from_config(make_config(features=WITHOUT_Q, **options), out).Q.tolist() == [0.0] * 5


@pytest.mark.parametrize("data_format", ["npz", "hdf5"])
def test_memory_does_not_grow_with_the_number_of_frames(
    waters: list[Frame], make_config: MakeConfig, tmp_path: Path, out: Path, data_format: str
) -> None:
    peaks = []
    for n in (5000, 40000):
        path = tmp_path / f"{n}.{data_format}"
        hub = make_config().Datahub
        sources = {**hub.features, **hub.targets}
        arrays = {sources[name]: np.array([water[name] for water in waters] * (n // 5)) for name in waters[0]}
        if data_format == "npz":
            np.savez(path, **arrays)
        else:
            with h5py.File(path, "w") as file:
                for source, values in arrays.items():
                    file[source] = values
        tracemalloc.start()
        preprocess(make_config(data_path=str(path), data_format=data_format), out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # one number for each frame more would be 280 kB; what h5py leaves to the garbage collector is up to 150 kB
    assert peaks[1] < peaks[0] + 200_000


@pytest.mark.parametrize(
    ("file", "data_format", "features", "targets", "frames", "shared"),
    [
        ("md17_ethanol.npz", "npz", {"Ra": "R", "Za": "z"}, {"E": "E", "Fa": "F"}, 2000, {"N", "Za", "Q"}),
        ("qm9_1000.npz", "npz", {"N": "N", "Ra": "R", "Za": "Z"}, {"E": "U0", "Qa": "Q_mulliken"}, 1000, {"Q"}),
        (
            "charged_molecules.h5",
            "hdf5",
            {"Ra": "coord", "Za": "numbers", "Q": "charge"},
            {"E": "energy", "Fa": "forces", "Qa": "charges", "M2": "dipole"},
            195,
            set(),
        ),
    ],
)
def test_real_data(
    make_config: MakeConfig,
    out: Path,
    file: str,
    data_format: str,
    features: dict[str, str],
    targets: dict[str, str],
    frames: int,
    shared: set[str],
) -> None:
    path = SHARED_DATA / file
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    config = make_config(data_path=str(path), data_format=data_format, features=features, targets=targets)
    dataset = MoleculeDataset.from_config(config, out)
    assert len(dataset) == frames
    assert dataset.info.shared == shared
    # energies of shape (n, 1) in the file are numbers of molecules here
    assert dataset.E.shape == (frames,)
    batch = dataset.batch(torch.arange(frames))
    assert batch.E.shape == (frames,)
    assert batch.num_nodes == int(batch.N.sum()) == len(batch.Ra)


def test_real_values_to_the_last_digit(make_config: MakeConfig, out: Path) -> None:
    path = SHARED_DATA / "md17_ethanol.npz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    options = {"features": {"Ra": "R", "Za": "z"}, "targets": {"E": "E", "Fa": "F"}}
    dataset = MoleculeDataset.from_config(make_config(data_path=str(path), data_format="npz", **options), out)
    with np.load(path) as file:
        np.testing.assert_array_equal(dataset.E.numpy(), file["E"].ravel())
        np.testing.assert_array_equal(dataset[1234].Fa.numpy(), file["F"][1234].astype(np.float32))
        assert dataset[1234].Za.tolist() == file["z"].tolist()


def built_in(config: Config, out: Path) -> int:
    """Return how often the store was built for this call."""
    log, built = logging.getLogger("pyg_nnp.data.preprocess"), []

    def count(record: logging.LogRecord) -> bool:
        built.append("preprocessing into" in record.getMessage())
        return False

    log.setLevel(logging.INFO)
    log.addFilter(count)
    try:
        preprocess(config, out)
    finally:
        log.removeFilter(count)
        log.setLevel(logging.NOTSET)
    return sum(built)


def test_processes_at_once_build_once(
    waters: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    write_pickle(waters * 400)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        builds = pool.starmap(built_in, [(make_config(), out)] * 4, chunksize=1)
    assert sum(builds) == 1
    assert len(list(out.iterdir())) == 1


def test_another_process_is_waited_for(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_pickle(frames)
    folder = preprocess(make_config(), out)
    store = (folder / "dataset.h5").read_bytes()
    (folder / "dataset.h5").unlink()
    fork = multiprocessing.get_context("fork")
    is_here = fork.Event()

    def other_process() -> None:
        with FileLock(folder / ".lock"):
            is_here.set()
            time.sleep(1)
            (folder / "dataset.h5").write_bytes(store)

    process = fork.Process(target=other_process)
    process.start()
    is_here.wait()
    caplog.clear()
    assert preprocess(make_config(), out) == folder
    process.join()
    assert "another process is writing here; waiting for it" in caplog.text
    assert "preprocessing into" not in caplog.text


@pytest.mark.parametrize("store_is_there", [True, False])
def test_what_a_killed_process_left_is_taken_away(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, store_is_there: bool
) -> None:
    write_pickle(frames)
    folder = preprocess(make_config(), out)
    if not store_is_there:
        (folder / "dataset.h5").unlink()
    (folder / ".dataset.h5.0123abcd.partial").write_text("half")
    (folder / "of the user.partial").write_text("kept")
    assert built_in(make_config(), out) == (0 if store_is_there else 1)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "dataset.h5", "of the user.partial"]


def test_file_that_changes_while_it_is_read(
    waters: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pickle(waters)

    def blocks(*arguments: Any, **options: Any) -> Iterator[Any]:
        yield from read_blocks(*arguments, **options)
        write_pickle(waters[:4])

    monkeypatch.setattr(sys.modules["pyg_nnp.data.checked_blocks"], "read_blocks", blocks)
    with pytest.raises(DataError, match=re.escape(f"{path}: the file was changed while it was read. Start again")):
        preprocess(make_config(), out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("limit", [0, 1, 3000, 20_000, 250_000])
def test_full_disk_leaves_the_old_store(
    waters: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, limit: int
) -> None:
    write_pickle(waters * 400)
    store = preprocess(make_config(), out) / "dataset.h5"
    before = store.read_bytes()
    assert len(before) > 250_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            preprocess(make_config(preload=False), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.read_bytes() == before
    assert sorted(path.name for path in store.parent.iterdir()) == [".lock", "dataset.h5"]


def test_stopped_at_each_step_of_saving(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left, or the old store, or the new one."""
    write_pickle(frames)
    calls, stop = 0, 0

    def step() -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt

    def stopped(action: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: (step(), action(*arguments))[1]

    write = Disk.write

    def stopped_write(disk: Disk, content: Any) -> int:
        try:
            step()
        except KeyboardInterrupt as error:
            disk.error = error
        return write(disk, content)

    for name in ("fsync", "replace", "mkdir"):
        monkeypatch.setattr(os, name, stopped(getattr(os, name)))
    monkeypatch.setattr(Disk, "write", stopped_write)
    for preload in (True, False):
        for stop in range(1, 100):  # noqa: B007
            calls = 0
            try:
                folder = preprocess(make_config(preload=preload), out)
                break
            except KeyboardInterrupt:
                there = [path.parent for path in out.rglob("dataset.h5")]
                assert all(len(MoleculeDataset(path)) == 4 for path in there)
                assert preload or there
                assert not list(out.rglob("*.partial"))
        assert 10 < stop < 99
        assert len(MoleculeDataset(folder)) == 4


@pytest.mark.parametrize(
    "charge", [np.array(-1), np.array([-1.0]), np.array([[-1]]), np.float32(-1), np.full((5, 1), -1)]
)
@pytest.mark.parametrize("data_format", ["npz", "hdf5", "groups"])
def test_one_total_charge_for_all_frames(
    waters: list[Frame], make_config: MakeConfig, tmp_path: Path, out: Path, data_format: str, charge: Any
) -> None:
    arrays = {source: np.array([water[name] for water in waters]) for source, name in ARRAYS.items()} | {"q": charge}
    path = tmp_path / f"data.{data_format}"
    if data_format == "npz":
        np.savez(tmp_path / "data.npz", **arrays)
    else:
        with h5py.File(path, "w") as file:
            place = file.create_group("water") if data_format == "groups" else file
            for name, values in arrays.items():
                place[name] = values
    options = {"data_path": str(path), "data_format": "npz" if data_format == "npz" else "hdf5"}
    features = {"Ra": "xyz", "Za": "z", "Q": "q"}
    config = make_config(features=features, targets={"E": "energy"}, transforms={}, **options)
    assert MoleculeDataset.from_config(config, out).Q.tolist() == [-1.0] * 5


@pytest.mark.parametrize(
    ("charge", "message"),
    [
        (None, r"frame 1: 'q' \(Q\) is None; every frame needs a value"),
        ("one", r"frame 1: 'q' \(Q\) has 'one', which is neither a charge nor a molecule in SMILES"),
        (np.nan, r"frame 1: 'q' \(Q\) is nan; a number is needed"),
        (np.array([1, 2]), r"frame 1: 'q' \(Q\) has shape \(2,\)"),
        (np.array([1]), None),
        (np.array([[1.0]]), None),
    ],
)
def test_total_charges_that_are_no_numbers(
    waters: list[Frame],
    make_config: MakeConfig,
    write_pickle: WritePickle,
    out: Path,
    charge: Any,
    message: str | None,
) -> None:
    waters[1] = waters[1] | {"Q": charge}
    write_pickle(waters)
    if message is None:
        assert MoleculeDataset.from_config(make_config(), out).Q.tolist() == [0, 1, 0, 0, 0]
        return
    with pytest.raises(DataError, match=message):
        preprocess(make_config(), out)


def test_atomic_charges_called_q_are_no_total_charge(
    waters: list[Frame], make_config: MakeConfig, tmp_path: Path, out: Path
) -> None:
    arrays = {source: np.array([water[name] for water in waters]) for source, name in ARRAYS.items()}
    np.savez(tmp_path / "data.npz", **arrays, q=np.zeros((5, 3)))
    options = {"data_path": str(tmp_path / "data.npz"), "data_format": "npz", "targets": {"E": "energy"}}
    config = make_config(features={"Ra": "xyz", "Za": "z"}, transforms={}, **options)
    assert MoleculeDataset.from_config(config, out).Q.tolist() == [0.0] * 5
