"""Time and peak memory of preprocessing, for npz and HDF5 files of 22 atoms a frame. Linux only, for /proc.

python benchmarks/preprocessing.py --frames 10000 100000 --json preprocessing.json
"""

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter, process_time

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import preprocess

Arrays = dict[str, np.ndarray]

ATOMS = 22
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


def synthetic(frames: int) -> Arrays:
    """Atoms near the points of a grid, and labels without order, which compress as badly as real ones."""
    rng = np.random.default_rng(0)
    grid = 1.5 * np.stack(np.unravel_index(np.arange(ATOMS), (3, 3, 3)), axis=1)
    return {
        "R": grid + rng.uniform(-0.2, 0.2, (frames, ATOMS, 3)),
        "Z": np.tile(np.array([1, 6, 7, 8])[np.arange(ATOMS) % 4], (frames, 1)),
        "Q": np.zeros(frames),
        "E": rng.normal(-495.0, 0.1, frames),
        "F": rng.normal(size=(frames, ATOMS, 3)),
        "q": rng.normal(size=(frames, ATOMS)),
        "D": rng.normal(size=(frames, 3)),
    }


def memory(line: str) -> float:
    """Return a line of what Linux says of the memory of this process, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{line}:")[2].split()[0]) * 1024 / 1e6


def measure(path: Path, data_format: str) -> dict[str, float]:
    """Preprocess a file, in a process of its own."""
    hub = {"data_path": str(path), "data_format": data_format, **FIELDS}
    model = {"architecture": "SchNet", "build_params": {}, "layers": [{"name": "Core"}], "loss": {"rmse": {"E": 1.0}}}
    document = {"Datahub": hub, "Modelhub": {"internal_FFs": {"FF": model}}, "Metrics": {"rmse": {"E": 1.0}}}
    config = config_from_dict(document)
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
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    results = []
    table = Table("source", "frames", "seconds", "CPU seconds", "source MB", "MB/s", "peak MB above idle")
    spawn = multiprocessing.get_context("spawn")
    for source in arguments.sources:
        data_format, save = SOURCES[source]
        for frames in arguments.frames:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "data.npz"
                save(path, **synthetic(frames))
                with ProcessPoolExecutor(1, mp_context=spawn) as process:
                    figures = process.submit(measure, path, data_format).result()
            results.append({"source": source, "frames": frames, **figures})
            table.add_row(source, str(frames), *(f"{figure:.1f}" for figure in figures.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
