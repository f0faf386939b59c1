"""Time and peak memory of preprocessing, for npz and HDF5 files of 22 atoms a frame. Linux only, for /proc.

python benchmarks/preprocessing.py --frames 10000 100000 --json preprocessing.json

With --start also those of two trainings whose store is there, from the start of their processes: until the first step,
and of an epoch, which is extrapolated from its first steps, or, with --epoch, runs to its end. The first one makes what
is kept for the later one.

python benchmarks/preprocessing.py --start --atoms 9 --sources npz --frames 100000 1000000
"""

import argparse
import json
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

from pyg_nnp.commands.train import train
from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import preprocess
from pyg_nnp.training import fit
from pyg_nnp.training.step import take_step

Arrays = dict[str, np.ndarray]

BATCH, STEPS = 100, 200  # frames of a step; steps that are timed
FIELDS = {"features": {"Ra": "R", "Za": "Z", "Q": "Q"}, "targets": {"E": "E", "Fa": "F", "Qa": "q", "M2": "D"}}


def save_hdf5(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def save_chunked(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", compression_opts=1)


def save_groups(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for i in range(len(arrays["R"])):
            for name, values in arrays.items():
                file[f"{i:09d}/{name}"] = values[i]


# name in the table -> data_format, how the file is written
SOURCES: dict[str, tuple[str, Callable[..., None]]] = {
    "npz": ("npz", np.savez),
    "npz compressed": ("npz", np.savez_compressed),
    "hdf5": ("hdf5", save_hdf5),
    "hdf5 gzip": ("hdf5", save_chunked),
    "hdf5 groups": ("hdf5", save_groups),
}


def synthetic(frames: int, atoms: int) -> Arrays:
    """Atoms near the points of a grid, and labels without order, which compress as badly as real ones."""
    rng = np.random.default_rng(0)
    grid = 1.5 * np.stack(np.unravel_index(np.arange(atoms), (3, 3, 3)), axis=1)
    R, q = grid + rng.uniform(-0.2, 0.2, (frames, atoms, 3)), rng.normal(size=(frames, atoms))
    q -= q.mean(axis=1, keepdims=True)
    return {
        "R": R,
        "Z": np.tile(np.array([1, 6, 7, 8])[np.arange(atoms) % 4], (frames, 1)),
        "Q": np.zeros(frames),
        "E": rng.normal(-495.0, 0.1, frames),
        "F": rng.normal(size=(frames, atoms, 3)),
        "q": q,
        "D": np.einsum("fa,fax->fx", q, R),
    }


def memory(line: str) -> float:
    """Return a line of what Linux says of the memory of this process, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{line}:")[2].split()[0]) * 1024 / 1e6


def configuration(path: Path, data_format: str) -> Config:
    """Return a configuration with as small a model as there can be."""
    hub = {"data_path": str(path), "data_format": data_format, "in_memory": False, **FIELDS}
    hub["transforms"] = {"atomic_energy": "fit"}
    layers = ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core", "EnergyReduce", "Force")
    sizes = {"dim_embedding": 12, "num_rbf": 10, "max_Za": 10, "cutoff_sr": 2.0}
    core = {"num_interactions": 1, "hidden_channels": 8}
    model = {
        "architecture": "SchNet",
        "build_params": sizes,
        "layers": [{"name": name, "params": core if name == "Core" else {}} for name in layers],
        "loss": {"rmse": {"E": 1.0, "Fa": 1.0}},
    }
    trainer = {"batch_size": BATCH, "max_epochs": 1000, "report": False, "cuda": False}
    return config_from_dict({"Datahub": hub, "Modelhub": {"FF": model}, "Trainer": trainer, "Metrics": model["loss"]})


def measure_start(path: Path, data_format: str, frames: int, most: int) -> dict[str, float]:
    """Train on the store that is there until the clock is known, in a process of its own."""
    of_epoch = 0.8 * frames / BATCH
    last_step = min(most + 1, int(of_epoch))
    steps, times = 0, dict[int, tuple[float, float, float]]()

    def counted(*arguments: Any) -> None:
        nonlocal steps
        take_step(*arguments)
        steps += 1
        if steps in (1, last_step):
            times[steps] = perf_counter(), process_time(), memory("VmHWM")
        if steps == last_step:
            raise KeyboardInterrupt

    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    start, start_of_process = perf_counter(), process_time()
    with patch.object(fit, "take_step", counted), suppress(KeyboardInterrupt):
        train(configuration(path, data_format), path.parent)
    (first, first_cpu, peak), (last, last_cpu, last_peak) = times[1], times[last_step]
    epoch = of_epoch / (last_step - 1)  # in numbers of what was timed
    return {
        "start_seconds": first - start,
        "start_cpu_seconds": first_cpu - start_of_process,
        "start_peak_MB": peak,
        "epoch_seconds": epoch * (last - first),
        "epoch_cpu_seconds": epoch * (last_cpu - first_cpu),
        "epoch_peak_MB": last_peak,
    }


def measure(path: Path, data_format: str) -> dict[str, float]:
    """Preprocess a file, in a process of its own."""
    config = configuration(path, data_format)
    # the peak so far may be that of the imports, and ru_maxrss that of the process which started this one
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    idle, start, start_of_process = memory("VmRSS"), perf_counter(), process_time()
    preprocess(config, path.parent)
    seconds, of_process = perf_counter() - start, process_time() - start_of_process
    size = path.stat().st_size / 1e6
    speed, peak = size / seconds, memory("VmHWM") - idle
    return {"seconds": seconds, "cpu_seconds": of_process, "source_MB": size, "MB_per_s": speed, "peak_MB": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=["npz", "npz compressed", "hdf5"])
    parser.add_argument("--atoms", type=int, default=22, help="of a frame, at most 27")
    parser.add_argument("--start", action="store_true", help="measure the start of a training, too")
    parser.add_argument("--epoch", action="store_true", help="let epochs run to their end")
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    results = []
    headings = ["source", "frames", "seconds", "CPU seconds", "source MB", "MB/s", "peak MB above idle"]
    if arguments.start:
        what = ("first start", "its epoch", "later start", "its epoch")
        headings += [f"{of} {measured}" for of in what for measured in ("seconds", "CPU seconds", "peak MB")]
    table = Table(*headings)
    spawn = multiprocessing.get_context("spawn")
    for source in arguments.sources:
        data_format, save = SOURCES[source]
        for frames in arguments.frames:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "data.npz"
                save(path, **synthetic(frames, arguments.atoms))
                with ProcessPoolExecutor(1, mp_context=spawn) as process:
                    figures = process.submit(measure, path, data_format).result()
                for which in ("first", "later") if arguments.start else ():
                    with ProcessPoolExecutor(1, mp_context=spawn) as process:
                        most = frames if arguments.epoch else STEPS
                        found = process.submit(measure_start, path, data_format, frames, most).result()
                    figures |= {f"{which}_{name}": value for name, value in found.items()}
                    shutil.rmtree(path.parent / "FF-SchNet")
            results.append({"source": source, "frames": frames, **figures})
            table.add_row(source, str(frames), *(f"{figure:.1f}" for figure in figures.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
