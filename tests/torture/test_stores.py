"""Stores and splits under faults, damage, crowds of processes, and more data than memory."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import h5py
import numpy as np
import pytest
import torch
import yaml
from damage import DAMAGES
from toy import toy_config, write_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset, preprocess, split_dataset
from pyg_nnp.errors import DataError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = ROOT / "scripts" / "train.py"
CORRUPTIONS = 200
PROCESSES = 16
FRAMES = 1_000_000
GIB = 1 << 30


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{HERE.parent}", **more}


@pytest.mark.parametrize("scenario", ["new", "again", "damaged"])
def test_a_kill_and_a_full_disk_at_every_call_that_changes_files(tmp_path: Path, scenario: str) -> None:
    """No store yet; a good one that is made again; a damaged one. Kills are SIGKILL, writes are half done by then."""
    library = tmp_path / "faults.so"
    compiled = subprocess.run(["cc", "-shared", "-fPIC", "-o", library, HERE / "faults.c", "-ldl"], check=False)
    if compiled.returncode:
        pytest.skip("there is no C compiler")
    write_toy(tmp_path, 40, ("H2O", "CH4"))
    done = subprocess.run(
        [sys.executable, HERE / "faults.py", library, scenario, tmp_path],
        env=environment(LD_PRELOAD=str(library)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    print(f"\n{scenario}: {outcome}")
    assert outcome["wrong"] == []
    assert outcome["killed"] == outcome["calls"] > 50
    # the others only take files away
    assert outcome["full"] >= outcome["calls"] - 5
    assert outcome["loadable"] + outcome["rebuilt"] >= outcome["killed"] + outcome["full"]


CROWD = """
import logging, sys, time
from pathlib import Path
from toy import toy_config
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset, split_dataset
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
config = config_from_dict(toy_config())
print("ready", flush=True)
sys.stdin.readline()
dataset = MoleculeDataset.from_config(config, "out")
parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
print("hash", dataset.hash, float(dataset.E.sum()), parts["training"][:5].tolist())
"""


def test_many_processes_at_once_build_once(tmp_path: Path) -> None:
    write_toy(tmp_path, 3000)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD], cwd=tmp_path, env=environment(), text=True, **pipes)
        for _ in range(PROCESSES)
    ]
    for process in crowd:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in crowd]
    failures = [output for process, output in zip(crowd, outputs, strict=True) if process.returncode]
    builds = sum("preprocessing into" in output for output in outputs)
    waited = sum("another process is writing here" in output for output in outputs)
    answers = Counter(line for output in outputs for line in output.splitlines() if line.startswith("hash"))
    print(f"\n{PROCESSES} processes: {builds} build, {waited} waited, {len(failures)} failures, {len(answers)} answer")
    assert not failures, failures[0]
    assert builds == 1
    assert list(answers.values()) == [PROCESSES]


def test_random_corruptions_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, 60, ("H2O", "CH4"), seed=1)
    other = (preprocess(config_from_dict(toy_config()), tmp_path / "other") / "dataset.h5").read_bytes()
    write_toy(tmp_path, 60, ("H2O", "CH4"))
    config = config_from_dict(toy_config())
    folder = preprocess(config, tmp_path / "out")
    path, right = folder / "dataset.h5", MoleculeDataset(folder).copy()
    parts = split_dataset(config.Trainer.Splitter, len(right), right.hash, folder)
    (split_path,) = folder.glob("split_*")
    content, split_content, dice, kinds = path.read_bytes(), split_path.read_bytes(), random.Random(0), Counter[str]()
    for number in range(CORRUPTIONS):
        damage = DAMAGES[number % len(DAMAGES)]
        broken = damage(content, other, dice)
        assert broken != content
        path.write_bytes(broken)
        kinds[damage.__name__] += 1
        with pytest.raises(DataError, match=re.escape(str(path))):
            MoleculeDataset(folder)
        caplog.clear()
        config.Datahub.in_memory = dice.random() < 0.5
        dataset = MoleculeDataset.from_config(config, tmp_path / "out")
        assert "Preprocessing again" in caplog.text
        assert all(torch.equal(getattr(dataset, name), getattr(right, name)) for name in right.fields)
        assert path.read_bytes() == content
        split_path.write_bytes(damage(split_content, other, dice))
        again = split_dataset(config.Trainer.Splitter, len(right), right.hash, folder)
        assert all(torch.equal(again[part], parts[part]) for part in parts)
        assert "drawn again" in caplog.text
    print(f"\n{CORRUPTIONS} corruptions of a store and of a split, all noticed and mended: {dict(kinds)}")


@pytest.mark.parametrize("limit", [2_000, 40_000, 200_000, 900_000])
def test_full_disk_ends_training_with_one_message(tmp_path: Path, limit: int) -> None:
    """The limit of the kernel on the size of a file, with a store that takes 1 MB."""
    write_toy(tmp_path, 5000)
    write_config(tmp_path, yaml.safe_dump(toy_config(Datahub__preload=False)))
    out = tmp_path / "out"
    preprocess_in(tmp_path)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert max(map(len, before.values())) > 900_000
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    # imported before, since PyTorch itself writes files when it is
    program = (
        "import sys; from pyg_nnp.commands import cli; "
        + limited
        + "sys.exit(cli.main(['train', 'train.yaml', '-o', 'out']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"OSError: .*File too large", done.stderr)
    assert {path: path.read_bytes() for path in before} == before
    print(f"\nlimit of {limit} bytes: {done.stderr.strip().splitlines()[-1]}")


def preprocess_in(folder: Path) -> None:
    program = "import sys, pyg_nnp; from pyg_nnp.data import MoleculeDataset as M; from pathlib import Path; "
    program += "M.from_config(pyg_nnp.load_config('train.yaml'), Path('out'))"
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment(), check=True)


ATOMS = 22
AT_ONCE = 10_000
SHAPES = {"R": (ATOMS, 3), "E": (), "F": (ATOMS, 3), "q": (ATOMS,), "D": (3,)}


def synthetic(name: str) -> Iterator[np.ndarray]:
    """Yield values for all frames, piece by piece: atoms near the points of a grid, labels without order."""
    rng = np.random.default_rng(sorted(SHAPES).index(name))
    grid = 1.5 * np.stack(np.unravel_index(np.arange(ATOMS), (3, 3, 3)), axis=1)
    for _ in range(0, FRAMES, AT_ONCE):
        values = rng.standard_normal((AT_ONCE, *SHAPES[name]), dtype=np.float32)
        yield (grid + 0.07 * np.clip(values, -3, 3)).astype(np.float32) if name == "R" else values


def write_npz(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        for name, shape in SHAPES.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                about = {"descr": "<f4", "fortran_order": False, "shape": (FRAMES, *shape)}
                np.lib.format.write_array_header_2_0(file, about)
                for values in synthetic(name):
                    file.write(values.tobytes())
        with archive.open("Z.npy", "w") as file:
            np.lib.format.write_array(file, np.array([1, 6, 7, 8])[np.arange(ATOMS) % 4])


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Z"] = np.array([1, 6, 7, 8])[np.arange(ATOMS) % 4]
        for name, shape in SHAPES.items():
            column = file.create_dataset(name, (FRAMES, *shape), dtype="f4")
            for number, values in enumerate(synthetic(name)):
                column[number * AT_ONCE : (number + 1) * AT_ONCE] = values


# the whole of training, with the time that an epoch took
TIMED = """
import resource, sys, time, pyg_nnp.training.fit as training
from pyg_nnp.commands import cli
whole = training.train_epoch
def timed(*arguments):
    start = time.perf_counter()
    loss = whole(*arguments)
    print("EPOCH", time.perf_counter() - start, flush=True)
    return loss
training.train_epoch = timed
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
status = cli.main(["train", sys.argv[2], "-o", sys.argv[3]])
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
sys.exit(status)
"""


def large_config(data_format: str, in_memory: bool | None) -> dict[str, object]:
    document = toy_config(Trainer__max_epochs=1, Trainer__batch_size=500)
    document["Datahub"] = {
        "data_path": f"data.{data_format}",
        "data_format": data_format,
        "features": {"Ra": "R", "Za": "Z"},
        "targets": {"E": "E", "Fa": "F", "Qa": "q", "M2": "D"},
        "transforms": {"atomic_energy": "fit"},
        "in_memory": in_memory,
    }
    document["Trainer"]["Splitter"] = {"ratios": [0.9, 0.05, 0.05]}
    # as small as a model can be, so that reading counts
    model = document["Modelhub"]["FF01"]
    model["build_params"] |= {"cutoff_sr": 2.0, "Hartree_in_E": 10.0}
    without_charges = ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core", "EnergyReduce", "Force")
    model["layers"] = [entry for entry in model["layers"] if entry["name"] in without_charges]
    model["loss"] = document["Metrics"] = {"rmse": {"E": 1.0, "Fa": 1.0}}
    return document


def timed_training(folder: Path, name: str, document: dict[str, object], out: str, limit: int) -> tuple[float, float]:
    (folder / name).write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [sys.executable, "-c", TIMED, str(limit), name, out],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split() for line in done.stdout.splitlines())
    return float(found["EPOCH"]), float(found["PEAK"])


@pytest.mark.parametrize(("data_format", "write"), [("npz", write_npz), ("hdf5", write_hdf5)])
def test_a_million_frames_in_2_gib(tmp_path: Path, data_format: str, write: Callable[[Path], None]) -> None:
    """All of a training under the limit; its times are printed: on a busy machine they mean little."""
    write(tmp_path / f"data.{data_format}")
    began = time.perf_counter()
    seconds, peak = timed_training(tmp_path, "store.yaml", large_config(data_format, False), "store", 2 * GIB)
    whole = time.perf_counter() - began
    (folder,) = (tmp_path / "store").glob("processed_dataset_*")
    (tmp_path / "memory").mkdir()
    folder.rename(tmp_path / "memory" / folder.name)
    in_memory, memory_peak = timed_training(tmp_path, "memory.yaml", large_config(data_format, True), "memory", 0)
    print(
        f"\n{FRAMES} frames from {data_format} under RLIMIT_DATA of 2 GiB: preprocessed and trained in {whole:.0f} s; "
        f"epoch from the store {seconds:.0f} s, in memory {in_memory:.0f} s; peak {peak:.0f} and {memory_peak:.0f} MB"
    )
