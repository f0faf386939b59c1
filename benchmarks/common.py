"""What the benchmarks share: the contenders, the clock, the memory gauge, tables and JSON.

The contenders have the same weights and get the same molecules. Ours is what the training runs: the model and the loss
of examples/reference.yaml (energies, forces, charges, dipoles, Coulomb energies) through pyg_nnp's own functions.
PyG's SchNet learns energies and forces alone, and is given the edges within the cutoff, found outside of its time, and
spared the gradient of the loss with respect to the positions, as ours is.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGKILL
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import yaml
from frames import EXAMPLE, Frame, dipeptides
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree
from torch import Tensor
from torch.optim import Adam
from torch_geometric.data import Batch, Data
from torch_geometric.nn.models import SchNet

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.config.recipes import RECIPES
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.layers.cores.schnet import SchNetCore
from pyg_nnp.layers.embedding import RandomAtomEmbedding
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.cuda_graphs import CudaGraphs
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.loss import weighted_loss
from pyg_nnp.training.step import Gradients

CUTOFF = 5.0  # Å
BATCH_SIZE = 64
TASKS = ("step", "evaluate")
PACKAGES = ("torch", "torch-geometric", "numpy", "numba", "triton", "torch-scatter", "torch-cluster", "pyg-nnp")

Name = TypeVar("Name")
Row = dict[str, Any]
Task = tuple[Callable[[Batch], object], Batch]


class Contender(Protocol):
    """One row of the tables."""

    def batch(self, frames: Sequence[Frame]) -> Batch:
        """Return what the contender is given."""

    def step(self, batch: Batch) -> None:
        """Take one optimiser step."""

    def evaluate(self, batch: Batch) -> object:
        """Predict energies and forces."""

    def atomic_energies(self, batch: Batch) -> Tensor:
        """Return (A,) the atomic energies, which are the same for all contenders."""


def configuration(data_path: Path = EXAMPLE / "dataset.pkl", architecture: str = "SchNet", **core: Any) -> Config:
    """Return the specification's run on a data file; ``core`` are further options of the core.

    Another core than SchNet has 64 features and the options that ``pyg-nnp init`` gives it.
    """
    document = yaml.safe_load((EXAMPLE.parent / "reference.yaml").read_text(encoding="utf-8"))
    document["Datahub"]["data_path"] = str(data_path)
    document["Datahub"]["transforms"]["atomic_energy"] = str(EXAMPLE / "atomic_energy.csv")
    model = document["Modelhub"]["internal_FFs"]["FF01"]
    model["architecture"] = architecture
    if architecture != "SchNet":
        model["build_params"]["dim_embedding"] = 64
        core = yaml.safe_load(RECIPES[architecture].core) | core
    # the specification has no such layer, and the data have one total charge
    model["layers"] = [layer for layer in model["layers"] if layer["name"] != "ChargeEmbedding"]
    for layer in model["layers"]:
        if layer["name"] == "Core":
            layer["params"] = layer["params"] | core if architecture == "SchNet" else core
    document["Trainer"] |= {"batch_size": BATCH_SIZE, "warmup_ratio": 0.001}
    document["Trainer"]["Splitter"]["ratios"] = [0.7, 0.1, 0.2]
    return config_from_dict(document)


def make_dataset(frames: Sequence[Frame], folder: Path) -> MoleculeDataset:
    """Return frames as the data set that a training would read."""
    path = folder / "frames.npz"
    arrays = {name: [frame[name] for frame in frames] for name in frames[0]}
    np.savez(path, **{name: np.array(values) for name, values in arrays.items()})
    config = configuration(path)
    config.Datahub.data_format = "npz"
    return MoleculeDataset.from_config(config, folder)


def make_data(frame: Frame) -> Data:
    """Return a frame as PyG has it, without edges."""
    floats = {"Ra": "coordinates", "Fa": "forces", "Qa": "atomic_charges"}
    data = Data(**{name: torch.tensor(frame[key], dtype=torch.float32) for name, key in floats.items()})
    data.Za, data.N = torch.tensor(frame["atomic_numbers"]), torch.tensor([frame["number_of_atoms"]])
    data.Q = torch.tensor([frame["total_charge"]], dtype=torch.float32)
    data.E = torch.tensor([frame["energy"]], dtype=torch.float64)
    data.Fa = -data.Fa  # the file has gradients
    data.num_nodes = len(data.Za)
    return data


def edges_within_cutoff(positions: np.ndarray) -> Tensor:
    """Return (2, E) edges j -> i, sorted by i as PyG's own search returns them."""
    pairs = cKDTree(positions).query_pairs(CUTOFF, output_type="ndarray")
    edges = np.concatenate((pairs, pairs[:, ::-1]))
    return torch.from_numpy(edges[np.lexsort(edges.T)].T.copy())


class Ours:
    """Our potential with its whole loss; ``core`` are its architecture and options of its core."""

    def __init__(self, device: str, **core: Any) -> None:
        self.device = device
        config = configuration(**core)
        self.loss = config.Modelhub.internal_FFs["FF01"].loss
        self.potential = build_potential(config, "FF01").to(device)
        self.optimizer = Adam(self.potential.parameters(), lr=config.Trainer.learning_rate, fused=True)
        self.gradients = Gradients(self.potential, self.potential.parameters(), self.loss)
        self.graphs = CudaGraphs(self.potential)

    def batch(self, frames: Sequence[Frame]) -> Batch:
        with tempfile.TemporaryDirectory() as folder:
            dataset = make_dataset(frames, Path(folder))
            return dataset.batch(torch.arange(len(dataset))).to(self.device)

    def step(self, batch: Batch) -> float:
        self.potential.train()
        loss = self.gradients(batch)
        self.optimizer.step()
        return loss

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        self.potential.eval()
        return self.graphs(batch)

    def atomic_energies(self, batch: Batch) -> Tensor:
        return self.evaluate(batch)["Ea"]


class PyG:
    """``torch_geometric.nn.models.SchNet`` with our weights and the loss of energies and forces."""

    def __init__(self, device: str) -> None:
        self.device = device
        ours = Ours("cpu")
        self.loss = {"rmse": {name: ours.loss["rmse"][name] for name in ("E", "Fa")}}
        self.model = like(ours.potential, self._graph).to(device)
        self.optimizer = Adam(self.model.parameters(), lr=ours.optimizer.param_groups[0]["lr"], fused=True)

    def batch(self, frames: Sequence[Frame]) -> Batch:
        return Batch.from_data_list([self.data(frame) for frame in frames]).to(self.device)

    def data(self, frame: Frame) -> Data:
        data = make_data(frame)
        data.edge_index = edges_within_cutoff(frame["coordinates"])
        return data

    def step(self, batch: Batch) -> None:
        self.model.train()
        loss = weighted_loss(self._predict(batch), batch, self.loss)
        self.optimizer.zero_grad()
        loss.backward(inputs=list(self.model.parameters()))  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        self.model.eval()
        return {name: value.detach() for name, value in self._predict(batch).items()}

    def atomic_energies(self, batch: Batch) -> Tensor:
        self._edge_index = batch.edge_index
        each_alone = torch.arange(len(batch.Za), device=batch.Za.device)
        return self.model(batch.Za, batch.Ra, each_alone)[:, 0].detach()  # type: ignore[no-any-return]

    def _predict(self, batch: Batch) -> dict[str, Tensor]:
        self._edge_index = batch.edge_index
        Ra = batch.Ra.detach().requires_grad_()
        E = self.model(batch.Za, Ra, batch.batch)[:, 0]
        (gradient,) = torch.autograd.grad(E.sum(), Ra, create_graph=self.model.training)
        return {"E": E, "Fa": -gradient}

    def _graph(self, Ra: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        j, i = self._edge_index
        return self._edge_index, (Ra[j] - Ra[i]).norm(dim=1)


def like(potential: Potential, graph: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> SchNet:
    """Return PyG's SchNet with the weights of a potential: its readout is our first column."""
    core = next(layer for layer in potential.layers if isinstance(layer, SchNetCore))
    embedding = next(layer for layer in potential.layers if isinstance(layer, RandomAtomEmbedding))
    filters, gaussians = core.interactions[0].filter_network.lin1.weight.shape
    width = embedding.weight.shape[1]
    theirs = SchNet(width, filters, len(core.interactions), gaussians, cutoff=CUTOFF, interaction_graph=graph)
    ours = dict(core.named_parameters()) | {"embedding.weight": embedding.weight}
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            source = ours[name.replace("mlp.0", "filter_network.lin1").replace("mlp.2", "filter_network.lin2")]
            parameter[: len(source)] = source[: len(parameter)]
    return theirs


# name in the tables -> what makes the contender on a device
CONTENDERS: dict[str, Callable[[str], Contender]] = {"ours": Ours, "PyG": PyG}
if "filters" in signature(SchNetCore).parameters:
    CONTENDERS["ours, exact filters"] = partial(Ours, filters="exact")


def check_agreement(contenders: Mapping[str, Contender], frames: Sequence[Frame]) -> float:
    """Return by how much atomic energies differ from PyG's before any step is taken, as a share of the largest.

    Raises:
        AssertionError: they differ by more than rounding.
    """
    energies = {name: contender.atomic_energies(contender.batch(frames)) for name, contender in contenders.items()}
    expected = energies["PyG"]
    worst = max(float((values - expected).abs().max() / expected.abs().max()) for values in energies.values())
    assert worst < 1e-5, f"the contenders compute different atomic energies: {worst:.1e} of the largest"
    return worst


def measure(tasks: Mapping[Name, Task], repeats: int, device: str, warm_up: int = 0) -> dict[Name, list[float]]:
    """Time tasks in turn, so that what else the machine does hits all of them.

    A turn is two calls, of which the second counts: a step comes after a step, and not after one of another program,
    which has filled the caches and given memory back.

    Args:
        tasks: name -> function and the batch that it is called with, a fresh copy each time.
        repeats: turns of each that count.
        device: is waited for.
        warm_up: turns of each before these.

    Returns:
        name -> times of the calls that count [ms].
    """
    times: dict[Name, list[float]] = {name: [] for name in tasks}
    for _ in range(warm_up + repeats):
        for name, (function, batch) in tasks.items():
            for _ in range(2):
                fresh = batch.clone()  # nothing that a contender remembers of a batch helps it
                last = seconds(partial(function, fresh), device)
            times[name].append(1e3 * last)
    return {name: values[warm_up:] for name, values in times.items()}


def compare(tasks: Mapping[str, Task], repeats: int, device: str) -> dict[str, Row]:
    """Return the figures of tasks in turn, PyG's among them."""
    figures = {name: summary(times) for name, times in measure(tasks, repeats, device, warm_up=3).items()}
    return {name: row | {"PyG / this": figures["PyG"]["median_ms"] / row["median_ms"]} for name, row in figures.items()}


def seconds(function: Callable[[], object], device: str) -> float:
    """Return how long one call takes."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronize()
    start = perf_counter()
    function()
    synchronize()
    return perf_counter() - start


def summary(milliseconds: Sequence[float]) -> Row:
    """Return median and quartiles."""
    q1, median, q3 = np.percentile(milliseconds, [25, 50, 75]).tolist()
    return {"median_ms": median, "q1_ms": q1, "q3_ms": q3}


def in_new_process(
    make: Callable[[str], Contender], frames: Sequence[Frame], task: str, device: str, threads: int
) -> Row:
    """Return the time of the first call of all [ms] and the memory of a call at its peak [MB].

    In a process of its own. The first call is with one small molecule; it compiles, or loads what was compiled. The
    memory is how far the resident memory (on a GPU: the allocated) rises within two calls above where it was after
    the first, with data, model and optimiser in memory. Both are None where the system killed the process, as it does
    for want of memory. On a GPU, which counts what each call allocates, it is the same process, and no first call.
    """
    if device == "cuda":
        torch.cuda.empty_cache()
        return _figures(make, frames, task, device) | {"first_ms": None}
    fresh = multiprocessing.get_context("forkserver")  # which has imported what takes long, and has not used it
    fresh.set_forkserver_preload(["torch_geometric.nn.models", "scipy.spatial.transform"])
    receiver, sender = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_first_and_peak, args=(sender, make, frames, task, device, threads))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        if process.exitcode == -SIGKILL:
            return {"first_ms": None, "peak_MB": None}
        raise RuntimeError(f"{task} failed in a new process, with exit code {process.exitcode}; see above") from None


def _first_and_peak(
    sender: Connection, make: Callable[[str], Contender], frames: Sequence[Frame], task: str, device: str, threads: int
) -> None:
    torch.set_num_threads(threads)
    sender.send(_figures(make, frames, task, device))


def _figures(make: Callable[[str], Contender], frames: Sequence[Frame], task: str, device: str) -> Row:
    contender = make(device)
    function = getattr(contender, task)
    small, batch = contender.batch(dipeptides()[:1]), contender.batch(frames)
    first = seconds(lambda: function(small), device)
    idle = _resident_after_reset(device)
    for _ in range(3 if device == "cuda" else 2):  # what comes up a second time is recorded on a GPU
        function(batch)
    return {"first_ms": 1e3 * first, "peak_MB": (_highest(device) - idle) / 1e6}


def _resident_after_reset(device: str) -> int:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that the process still holds would hide what comes
    Path("/proc/self/clear_refs").write_text("5")  # the highest is the present again
    return _status("VmRSS")


def _highest(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def parse_arguments(parser: argparse.ArgumentParser, repeats: int) -> argparse.Namespace:
    """Add the options of all benchmarks of steps, read the command line and set the number of threads."""
    parser.add_argument("--repeats", type=int, default=repeats, help=f"timed calls of each (default: {repeats})")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parse_run(parser, threads=2)


def parse_run(parser: argparse.ArgumentParser, threads: int) -> argparse.Namespace:
    """Add the options of all benchmarks, read the command line and set the number of threads."""
    parser.add_argument("--threads", type=int, default=threads, help=f"threads of the CPU (default: {threads})")
    parser.add_argument("--small", action="store_true", help="tiny systems or few steps, to see whether it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go, too")
    parser.add_argument("--flush-subnormal", action="store_true", help="let the CPU take subnormal numbers as 0")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.flush_subnormal and not torch.set_flush_denormal(True):
        parser.error("--flush-subnormal: this CPU cannot")
    return arguments


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a docstring as it is."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def system(device: str) -> Row:
    """Return what the numbers depend on."""
    cpus = Path("/proc/cpuinfo")
    model = cpus.read_text().partition("model name")[2].partition("\n")[0].strip("\t :") if cpus.exists() else ""
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "cuda": torch.version.cuda,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def report(title: str, rows: Sequence[Row], arguments: argparse.Namespace, started: Row, **more: Any) -> None:
    """Print rows as a table, and write them to the JSON file with the system and further figures."""
    console = Console()
    if not console.is_terminal:
        console.width = 140
    table = Table(title=f"{title}; {started['device']}, {started['threads']} threads")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    console.print(table)
    for name, value in more.items():
        console.print(f"{name.replace('_', ' ')}: {_shown(value)}")
    if arguments.json:
        settings = {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)}
        system_then = started | {"load_after": os.getloadavg()}
        document = {"title": title, "system": system_then, "settings": settings, **more, "rows": rows}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
    return "-" if value is None else str(value)
