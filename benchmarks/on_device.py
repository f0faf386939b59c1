"""Whether a device computes what the CPU does, the example trained on it, and where the time of a step goes there.

python benchmarks/on_device.py correct --device cuda --json correct.json
python benchmarks/on_device.py example --device cuda --json example.json
python benchmarks/on_device.py profile --device cuda --json profile.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
import yaml
from common import Ours, Row, make_parser, system
from frames import EXAMPLE, Frame, dipeptides, peptides
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch_geometric.data import Batch

from pyg_nnp.kernels.backend import PAIRS, backend
from pyg_nnp.kernels.tensor_operators import TENSORS
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.cuda_graphs import CudaGraphs

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
STEPS = 20  # whose bits are compared
CALLS = 10  # that are profiled


def correct(arguments: argparse.Namespace) -> list[Row]:
    """Compare predictions and gradients on the device with those on the CPU, and two trainings on it, bit by bit.

    On the CPU plain torch computes, which is the definition, and compiles nothing.
    """
    device = arguments.device
    if device == "cuda":
        for family in (PAIRS, TENSORS):
            cast(dict[str, str], family.modules).pop("cpu")
        backend.cache_clear()
    frames = dipeptides()[:1] if arguments.small else peptides(16)
    rows = []
    for core in arguments.cores:
        for precision in arguments.dtypes:
            started = perf_counter()
            here, there = (found(core, where, precision, frames) for where in ("cpu", device))
            row: Row = {"core": core, "dtype": precision, "seconds": perf_counter() - started}
            for name, right in here.items():
                row[name] = float((there[name] - right).norm() / right.norm())
            steps = 2 if arguments.small else STEPS
            one, other = (trained(core, device, precision, frames, steps) for _ in range(2))
            row["equal bits"] = sum(torch.equal(a, b) for a, b in zip(one, other, strict=True)) / len(one)
            rows.append(row)
            print(row, flush=True)
    return rows


def contender(core: str, device: str, precision: str) -> Ours:
    torch.manual_seed(0)
    ours = Ours(device, architecture=core)
    ours.potential.to(PRECISIONS[precision])
    return ours


def found(core: str, device: str, precision: str, frames: Sequence[Frame]) -> dict[str, Tensor]:
    """Return predictions and gradients of an untrained potential, on a GPU also those of what was recorded."""
    ours = contender(core, device, precision)
    batch = in_precision(ours.batch(frames), precision)
    ours.potential.eval()
    values = {name: value for name, value in ours.potential(batch).items() if name in ("E", "Fa", "Qa", "M2")}
    ours.potential.train()
    for times in (1, 3):  # what comes up a second time is recorded
        for _ in range(times):
            ours.gradients(batch)
        gradients = [p.grad.flatten() for p in ours.potential.parameters() if p.grad is not None]
        values[f"gradient, call {times}"] = torch.cat(gradients)
    graphs = CudaGraphs(ours.potential.eval())
    for _ in range(3):
        recorded = graphs(batch)
    values["recorded Fa"] = recorded["Fa"]
    return {name: value.detach().cpu().double() for name, value in values.items()}


def trained(core: str, device: str, precision: str, frames: Sequence[Frame], steps: int) -> list[Tensor]:
    """Return the parameters after some steps."""
    ours = contender(core, device, precision)
    batch = in_precision(ours.batch(frames), precision)
    for _ in range(steps):
        ours.step(batch)
    return [parameter.detach().cpu() for parameter in ours.potential.parameters()]


def in_precision(batch: Batch, precision: str) -> Batch:
    """Return a batch with labels in a precision; positions and energies stay float64."""
    for name, value in batch:
        if isinstance(value, Tensor) and value.dtype == torch.float32:
            batch[name] = value.to(PRECISIONS[precision])
    return batch


def example(arguments: argparse.Namespace) -> list[Row]:
    """Train the example for some epochs, at the same time on the device and, with two seeds, on one core."""
    device, epochs = arguments.device, 1 if arguments.small else 8
    with tempfile.TemporaryDirectory() as folder:
        runs = {(where, seed): train(Path(folder), where, seed, epochs) for where in {device, "cpu"} for seed in (1, 2)}
        rows = []
        for (where, seed), (process, out) in runs.items():
            output, _ = process.communicate()
            if process.returncode:
                raise RuntimeError(f"training on {where} failed:\n{output}")
            (metrics,) = out.glob("*/metrics.json")
            lines = metrics.with_name("history.csv").read_text().splitlines()
            seconds = [float(line.rpartition(",")[2]) for line in lines[1:]]
            test = json.loads(metrics.read_text())["test"]
            errors = {f"{kind} {name}": test[kind][name] for kind in ("rmse",) for name in test[kind]}
            rows.append({"device": where, "seed": seed, "epochs": epochs, "last epoch s": seconds[-1]} | errors)
    return rows


def train(folder: Path, device: str, seed: int, epochs: int) -> tuple[subprocess.Popen[str], Path]:
    document = yaml.safe_load((EXAMPLE / "train.yaml").read_text(encoding="utf-8"))
    document["Datahub"]["data_path"] = str(EXAMPLE / "dataset.pkl")
    document["Datahub"]["transforms"]["atomic_energy"] = str(EXAMPLE / "atomic_energy.csv")
    document["Trainer"] |= {"max_epochs": epochs, "seed": seed, "cuda": device == "cuda", "report": False}
    config, out = folder / f"{device}-{seed}.yaml", folder / f"{device}-{seed}"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [sys.executable, str(EXAMPLE.parents[1] / "scripts" / "train.py"), str(config), "-o", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **streams), out  # type: ignore[call-overload]


def profiled(arguments: argparse.Namespace) -> list[Row]:
    """Profile steps and evaluations; on a GPU as they are recorded, and as they are not."""
    device, sizes = arguments.device, (2,) if arguments.small else (1, 64, 1024)
    rows = []
    for core in arguments.cores:
        for size in sizes:
            ours = contender(core, device, "float32")
            batch = ours.batch((dipeptides() * 2)[:size])
            for task in ("step", "evaluate"):
                function = getattr(ours, task)
                rows.append(
                    {
                        "core": core,
                        "molecules": size,
                        "task": task,
                        **profile_of(function, batch, device, 1 if arguments.small else CALLS),
                    }
                )
                print(*rows[-1].values(), flush=True)
    return rows


def profile_of(function: Callable[[Batch], Any], batch: Batch, device: str, calls: int) -> Row:
    for _ in range(4):
        function(batch.clone())
    gpu = device == "cuda"
    synchronize = torch.cuda.synchronize if gpu else lambda: None
    synchronize()
    started = perf_counter()
    for _ in range(calls):
        function(batch.clone())
    synchronize()
    alone = perf_counter() - started
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as measured:
        for _ in range(calls):
            function(batch.clone())
        synchronize()
    averages = measured.key_averages()
    key = "self_device_time_total" if gpu else "self_cpu_time_total"
    # of kernels; of a profiler's rows of the CPU the time on the device counts them a second time
    events = [event for event in averages if not gpu or event.device_type.name == "CUDA"]
    busy = 1e-6 * sum(getattr(event, key) for event in events)
    on_host = [event for event in averages if event.device_type.name == "CPU"]
    return {
        "ms": 1e3 * alone / calls,
        "idle": 1 - busy / alone if gpu else None,
        "kernels": sum(event.count for event in events) / calls,
        "table": table_of(events, key, calls),
        "host": table_of(on_host, "self_cpu_time_total", calls),
    }


def table_of(events: Sequence[Any], key: str, calls: int) -> list[str]:
    """Return what takes longest: time of a call [us], how often in a call, name."""
    longest = sorted(events, key=lambda event: -getattr(event, key))[:24]
    return [f"{getattr(event, key) / calls:10.1f} {event.count / calls:6.1f}  {event.key[:110]}" for event in longest]


PARTS = {"correct": correct, "example": example, "profile": profiled}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--small", action="store_true", help="tiny systems or few steps, to see whether it runs")
    parser.add_argument("--cores", nargs="+", choices=CORES, default=list(CORES), help="these alone")
    dtypes = list(PRECISIONS)
    parser.add_argument("--dtypes", nargs="+", choices=dtypes, default=dtypes, help="these alone, where both count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go, too")
    arguments = parser.parse_args()
    started = system(arguments.device)
    rows = PARTS[arguments.part](arguments)
    for row in rows:
        shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()}
        print(" ".join(f"{name}={value}" for name, value in shown.items() if name not in ("table", "host")))
    if arguments.json:
        arguments.json.write_text(json.dumps({"system": started, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
