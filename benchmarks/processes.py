"""Time of a training epoch of the specification's run on alanine dipeptide, by one process and by several.

python benchmarks/processes.py --json processes.json

Each group of processes takes one epoch that does not count, for kernels to be compiled, then some that do. Wall time
is that of the machine; the largest CPU time of a process is what the wall time is where each has a core of its own.
The groups come one after the other, several times. Strangers know nothing of each other: each trains on its part of the
frames alone, in batches as much smaller, which is the most that processes that work together can reach.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from socket import socket
from statistics import median
from time import perf_counter, process_time
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GROUPS = [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 1, 2)]  # processes, threads of each, parts of the frames for strangers


def measured(config_path: Path, out: Path, epochs: int, parts: int) -> dict[str, list[float]]:
    """Return wall and CPU time of each epoch in this process, or the largest of all processes [s]."""
    import torch

    from pyg_nnp import load_config
    from pyg_nnp.potential.build import build_potential
    from pyg_nnp.runtime import processes
    from pyg_nnp.runtime.launch import launched
    from pyg_nnp.training.callbacks.base import CallbackList
    from pyg_nnp.training.data_preparation import read_data
    from pyg_nnp.training.fit import train_epoch
    from pyg_nnp.training.references_and_domain import prepare_potential
    from pyg_nnp.training.state import TrainingState
    from pyg_nnp.training.step import Gradients

    config, launch = load_config(config_path), launched()
    times: dict[str, list[float]] = {"wall": [], "cpu": []}
    with processes.joined(launch) if launch else nullcontext():
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        potential = build_potential(config, "FF01")
        data = read_data(config, out, {"FF01": potential})
        prepare_potential(potential, config, "FF01", data)
        data = replace(data, parts={name: frames[::parts] for name, frames in data.parts.items()})
        state = TrainingState.begin(potential, config.Trainer, data.parts)
        gradients = Gradients(potential, potential.parameters(), config.Modelhub.internal_FFs["FF01"].loss)
        # strangers neither begin nor end together
        for _ in range(1 + epochs + (parts > 1)):
            processes.wait_for_all()
            wall, cpu = perf_counter(), process_time()
            train_epoch(state, data, config.Trainer.batch_size // parts, gradients, lambda step: 1e-4, CallbackList([]))
            state.end_epoch(perf_counter())
            times["wall"].append(max(processes.gather(perf_counter() - wall)))
            times["cpu"].append(max(processes.gather(process_time() - cpu)))
    return {name: values[1 : 1 + epochs] for name, values in times.items()}


def group(count: int, threads: int, parts: int, options: argparse.Namespace, out: str) -> dict[str, list[float]]:
    """Return the times that a group of processes measures, of strangers those of the slowest."""
    with socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
    known = {"OMP_NUM_THREADS": str(threads), "WORLD_SIZE": str(count // parts), "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, __file__, "--config", str(options.config), "--epochs", str(options.epochs), "--out", out]
    command += ["--parts", str(parts)]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **known, "MASTER_PORT": str(port), "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    texts = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a process failed")
    found: list[dict[str, list[float]]] = [json.loads(text) for text in texts]
    return {name: [max(values) for values in zip(*(of[name] for of in found), strict=True)] for name in found[0]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "examples" / "reference.yaml")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.config = options.config.resolve()
    if options.out:
        print(json.dumps(measured(options.config, options.out, options.epochs, options.parts)))
        return
    times: dict[tuple[int, int, int], dict[str, list[float]]] = {of: {"wall": [], "cpu": []} for of in GROUPS}
    with tempfile.TemporaryDirectory() as out:
        for _ in range(options.repeats):
            for of, found in times.items():
                for name, values in group(*of, options, out).items():
                    found[name] += values
    rows: list[dict[str, Any]] = [
        {"processes": count, "threads": threads, "strangers": parts > 1}
        | {f"{name}_s": round(median(values), 3) for name, values in found.items()}
        | {f"{name}_range_s": [round(min(values), 3), round(max(values), 3)] for name, values in found.items()}
        for (count, threads, parts), found in times.items()
    ]
    for row in rows:
        print(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
