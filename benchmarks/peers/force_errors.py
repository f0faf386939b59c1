"""Force errors after some minutes of training, with this program or another one, on the same frames.

python benchmarks/peers/force_errors.py PROGRAM --data md17_ethanol.npz --minutes 10 --json FILE
python benchmarks/peers/force_errors.py plot --json FILE --plot PICTURE

PROGRAM is pyg_nnp, or one that is installed where this runs, each in an environment of its own: SchNetPack (pip install
schnetpack), MACE (mace-torch), graph-pes (graph-pes), TorchMD-NET (torchmd-net). The minutes are CPU time of one
thread, so that other work of the machine does not count. 950 frames for training, 50 for validation, 1000 others for
the test, drawn with the seed.

pyg_nnp trains with the file that ``pyg-nnp init --minutes`` writes. The others are trained by one loop: optimiser,
learning rate, batch size, loss, clipping and averages are what each publishes for MD17 or as its default; but the
learning rate falls linearly to 0 over the time that there is, which is better for them than their schedules for days.
Neighbors are found, and kernels compiled, before the time begins.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CUTOFF = 5.0  # Å
TRAINING, VALIDATION, TEST = 950, 50, 1000
KCAL = 23.060548  # kcal/mol in 1 eV

Batch = dict[str, Tensor]
Floats = NDArray[np.float64]


@dataclass
class Frames:
    """Frames of one molecule: (A,) Z, (n, A, 3) positions [Å], (n,) energies and (n, A, 3) forces in kcal/mol and Å."""

    Z: NDArray[np.int64]
    R: Floats
    E: Floats
    F: Floats

    @classmethod
    def read(cls, path: Path, seed: int) -> "tuple[Frames, Frames, Frames]":
        """Return the frames of training, validation and test."""
        with np.load(path) as file:
            Z, R, E, F = (file[key] for key in ("z", "R", "E", "F"))
        order = np.random.default_rng(seed).permutation(len(R))
        ends = np.cumsum([0, TRAINING, VALIDATION, TEST])
        parts = (order[i:j] for i, j in pairwise(ends))
        return tuple(cls(Z.astype(np.int64), R[part], E[part].ravel(), F[part]) for part in parts)  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self.R)


@dataclass
class Peer:
    """A model of another program, how it predicts (energies, forces) of a batch, and how it is trained."""

    model: nn.Module
    predict: Callable[[Batch], tuple[Tensor, Tensor]]
    optimizer: torch.optim.Optimizer
    loss: Callable[[Tensor, Tensor, int], Tensor]  # of errors of energies, of forces, and the number of atoms
    batch_size: int
    ema: float | None = None
    max_norm: float | None = None


def schnetpack(frames: Frames) -> Peer:
    """PaiNN of 64 features, as its configuration md17 has it."""
    import typing

    from torch.utils.data import dataloader

    if not hasattr(dataloader, "T_co"):  # it imports that, and newer versions of PyTorch lack it
        dataloader.T_co = typing.TypeVar("T_co", covariant=True)  # type: ignore[attr-defined]
    from schnetpack import properties
    from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances
    from schnetpack.model import NeuralNetworkPotential
    from schnetpack.nn import CosineCutoff, GaussianRBF
    from schnetpack.representation import PaiNN

    model = NeuralNetworkPotential(
        PaiNN(64, 3, GaussianRBF(20, CUTOFF), cutoff_fn=CosineCutoff(CUTOFF)),
        input_modules=[PairwiseDistances()],
        output_modules=[Atomwise(64, output_key="energy"), Forces(energy_key="energy", force_key="forces")],
    )

    def predict(batch: Batch) -> tuple[Tensor, Tensor]:
        i, j = batch["edge_index"][1], batch["edge_index"][0]
        out = model({
            properties.Z: batch["Z"], properties.R: batch["R"], properties.idx_m: batch["batch"],
            properties.n_atoms: batch["N"], properties.idx_i: i, properties.idx_j: j,
            properties.offsets: batch["R"].new_zeros(len(i), 3),
        })  # fmt: skip
        return out["energy"], out["forces"]

    def loss(E: Tensor, F: Tensor, _: int) -> Tensor:
        return 0.01 * E.square().mean() + 0.99 * F.square().mean()

    return Peer(model, predict, torch.optim.AdamW(model.parameters(), 1e-3), loss, batch_size=10)


def mace(frames: Frames) -> Peer:
    """MACE with 32 scalars and vectors, two layers, correlation 3: what its documentation has as a small one."""
    torch.serialization.add_safe_globals([slice])  # which the constants of e3nn 0.4.4 have
    from e3nn.o3 import Irreps
    from mace.modules import ScaleShiftMACE, interaction_classes
    from torch.nn.functional import one_hot, silu

    elements = sorted(set(frames.Z.tolist()))
    model = ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=2, num_interactions=2,
        interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=interaction_classes["RealAgnosticResidualInteractionBlock"],
        num_elements=len(elements), hidden_irreps=Irreps("32x0e + 32x1o"), MLP_irreps=Irreps("16x0e"),
        atomic_energies=np.zeros(len(elements)), avg_num_neighbors=_mean_neighbors(frames), atomic_numbers=elements,
        correlation=3, gate=silu, radial_type="bessel", radial_MLP=[64, 64, 64],
        atomic_inter_scale=float(np.sqrt(np.mean(frames.F**2))), atomic_inter_shift=0.0,
    )  # fmt: skip
    number = {element: n for n, element in enumerate(elements)}

    def predict(batch: Batch) -> tuple[Tensor, Tensor]:
        edges, zeros = batch["edge_index"], torch.zeros(batch["edge_index"].shape[1], 3)
        kinds = torch.tensor([number[z] for z in batch["Z"].tolist()])
        out = model({
            "positions": batch["R"].requires_grad_(), "node_attrs": one_hot(kinds, len(elements)).float(),
            "edge_index": edges, "shifts": zeros, "unit_shifts": zeros,
            "cell": torch.zeros(3 * len(batch["N"]), 3), "batch": batch["batch"], "ptr": batch["ptr"],
            "head": torch.zeros(len(batch["N"]), dtype=torch.int64),
        }, training=model.training)  # fmt: skip
        return out["energy"], out["forces"]

    def loss(E: Tensor, F: Tensor, atoms: int) -> Tensor:
        return (E / atoms).square().mean() + 100 * F.square().mean()

    optimizer = torch.optim.Adam(model.parameters(), 1e-2, amsgrad=True, weight_decay=5e-7)
    return Peer(model, predict, optimizer, loss, batch_size=5, ema=0.99, max_norm=10)


def graph_pes(frames: Frames) -> Peer:
    """TensorNet of 64 features and two layers; batch size, losses and optimiser are its defaults."""
    from graph_pes import AtomicGraph
    from graph_pes.models import TensorNet

    model = TensorNet(cutoff=CUTOFF, channels=64, layers=2)

    def graph(batch: Batch) -> AtomicGraph:
        edges = batch["edge_index"]
        return AtomicGraph(
            Z=batch["Z"], R=batch["R"], cell=torch.zeros(len(batch["N"]), 3, 3), neighbour_list=edges,
            neighbour_cell_offsets=torch.zeros(edges.shape[1], 3), other={},
            properties={"energy": batch["E"], "forces": batch["F"]}, cutoff=CUTOFF,
            batch=batch["batch"], ptr=batch["ptr"],
        )  # fmt: skip

    # as its own training does first; these are single graphs
    batches = Batches(frames)
    singles = [graph(batches.of([k]))._replace(batch=None, ptr=None) for k in range(100)]
    model.pre_fit_all_components([
        one._replace(cell=one.cell[0], properties=one.properties | {"energy": one.properties["energy"][0]})
        for one in singles
    ])  # fmt: skip

    def predict(batch: Batch) -> tuple[Tensor, Tensor]:
        out = model.predict(graph(batch), ["energy", "forces"])
        return out["energy"], out["forces"]

    def loss(E: Tensor, F: Tensor, atoms: int) -> Tensor:
        return (E / atoms).square().mean().sqrt() + F.square().mean().sqrt()

    return Peer(model, predict, torch.optim.Adam(model.parameters(), 1e-3), loss, batch_size=4)


def torchmd_net(frames: Frames) -> Peer:
    """TensorNet of 64 features and two layers, trained as its example for rMD17 has it."""
    from torchmdnet.models.model import create_model

    model = create_model({
        "model": "tensornet", "precision": 32, "embedding_dimension": 64, "num_layers": 2, "num_rbf": 32,
        "rbf_type": "expnorm", "trainable_rbf": False, "activation": "silu", "cutoff_lower": 0.0,
        "cutoff_upper": CUTOFF, "max_z": 10, "max_num_neighbors": 32, "equivariance_invariance_group": "O(3)",
        "derivative": True, "atom_filter": -1, "prior_model": None, "output_model": "Scalar", "reduce_op": "add",
    })  # fmt: skip
    model.std.fill_(float(np.sqrt(np.mean(frames.F**2))))

    def predict(batch: Batch) -> tuple[Tensor, Tensor]:
        E, F = model(batch["Z"], batch["R"], batch["batch"])
        return E, F

    def loss(E: Tensor, F: Tensor, _: int) -> Tensor:
        return 0.05 * E.square().mean() + 0.95 * F.square().mean()

    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.0)
    return Peer(model, predict, optimizer, loss, batch_size=8, max_norm=40)


PEERS: dict[str, Callable[[Frames], Peer]] = {
    "SchNetPack": schnetpack,
    "MACE": mace,
    "graph-pes": graph_pes,
    "TorchMD-NET": torchmd_net,
}


def _mean_neighbors(frames: Frames) -> float:
    return float(np.mean([len(_edges(R)[0]) / len(R) for R in frames.R[:100]]))


def _edges(R: Floats) -> NDArray[np.int64]:
    """Return (2, E) edges j -> i within the cutoff."""
    distances = np.linalg.norm(R[:, None] - R[None], axis=-1) + np.diag(np.full(len(R), np.inf))
    i, j = np.nonzero(distances < CUTOFF)
    return np.stack((j, i))


class Batches:
    """Batches of frames with their neighbors, which are found once."""

    def __init__(self, frames: Frames) -> None:
        self.frames, self.mean = frames, float(frames.E.mean())
        self.edges = [torch.from_numpy(_edges(R)) for R in frames.R]

    def of(self, chosen: Sequence[int] | range) -> Batch:
        """Return a batch; energies are those less their mean."""
        A, n = len(self.frames.Z), len(chosen)
        flat = {name: torch.from_numpy(getattr(self.frames, name)[list(chosen)]).float() for name in ("R", "E", "F")}
        return {
            "R": flat["R"].reshape(-1, 3), "F": flat["F"].reshape(-1, 3), "E": flat["E"],
            "Z": torch.from_numpy(np.tile(self.frames.Z, n)), "N": torch.full((n,), A),
            "batch": torch.arange(n).repeat_interleave(A), "ptr": torch.arange(n + 1) * A,
            "edge_index": torch.cat([self.edges[k] + A * m for m, k in enumerate(chosen)], dim=1),
        }  # fmt: skip


def epochs(number: int, size: int, seed: int) -> Iterator[list[int]]:
    """Yield numbers of the frames of each batch, epoch after epoch, without end."""
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(number)
        yield from (order[k : k + size].tolist() for k in range(0, number - size + 1, size))


def train(peer: Peer, frames: Frames, seconds: float, seed: int) -> dict[str, float]:
    """Train for some seconds of CPU time; the model has the averages of its weights in the end, if there are any."""
    frames.E -= frames.E.mean()
    batches, atoms = Batches(frames), len(frames.Z)
    rates = [group["lr"] for group in peer.optimizer.param_groups]
    averages = [p.detach().clone() for p in peer.model.parameters()]
    peer.model.train()
    # what is compiled at first use is no part of the time
    for _ in range(3):
        batch = batches.of(range(peer.batch_size))
        E, F = peer.predict(batch)
        peer.loss(E.flatten() - batch["E"], F - batch["F"], atoms).backward()
    start, steps = time.process_time(), 0
    for chosen in epochs(len(frames), peer.batch_size, seed):
        share = (time.process_time() - start) / seconds
        if share >= 1:
            break
        for group, rate in zip(peer.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - share)
        batch = batches.of(chosen)
        E, F = peer.predict(batch)
        peer.optimizer.zero_grad()
        peer.loss(E.flatten() - batch["E"], F - batch["F"], atoms).backward()
        if peer.max_norm:
            nn.utils.clip_grad_norm_(peer.model.parameters(), peer.max_norm)
        peer.optimizer.step()
        steps += 1
        decay = 0.0 if peer.ema is None else min(peer.ema, (1 + steps) / (10 + steps))
        for average, parameter in zip(averages, peer.model.parameters(), strict=True):
            average.lerp_(parameter.detach(), 1 - decay)
    for average, parameter in zip(averages, peer.model.parameters(), strict=True):
        parameter.data.copy_(average)
    return {"steps": steps, "ms": 1e3 * (time.process_time() - start) / steps}


def errors_of(peer: Peer, test: Frames) -> tuple[Floats, Floats]:
    """Return (n,) errors of energies, up to a constant, and (n, A, 3) of forces."""
    peer.model.eval()
    batches, found = Batches(test), []
    for first in range(0, len(test), 50):
        batch = batches.of(range(first, min(first + 50, len(test))))
        E, F = peer.predict(batch)
        found.append(((E.flatten() - batch["E"]).detach(), (F - batch["F"]).detach()))
    E, F = (torch.cat(parts).double().numpy() for parts in zip(*found, strict=True))
    return E - np.median(E), F


def train_ours(
    data: Path, minutes: float, seed: int, change: Callable[[dict[str, Any]], None] = lambda document: None
) -> dict[str, float]:
    """Train with what ``pyg-nnp init`` writes, after a change; return figures."""
    time.perf_counter = time.process_time  # before the package takes it
    import yaml

    from pyg_nnp.commands import cli

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, out = folder / "train.yaml", folder / "out"
        assert cli.main(["init", str(data), "-o", str(path), "--minutes", str(minutes)]) == 0
        document = yaml.safe_load(path.read_text())
        document["Trainer"] |= {"seed": seed, "report": False, "cuda": False}
        document["Trainer"]["Splitter"] |= {"ratios": [TRAINING, VALIDATION, TEST], "seed": seed}
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        assert cli.main(["train", str(path), "-o", str(out)]) == 0
        metrics = json.loads(next(out.glob("*/metrics.json")).read_text())
    test = metrics["test"]
    return {"force_mae": test["mae"]["Fa"], "force_rmse": test["rmse"]["Fa"], "energy_mae": test["mae"]["E"]}


def train_peer(program: str, data: Path, minutes: float, seed: int) -> dict[str, float]:
    """Train a model of another program; return figures."""
    training, _, test = Frames.read(data, seed)
    peer = PEERS[program](training)
    figures = train(peer, training, 60 * minutes, seed)
    E, F = errors_of(peer, test)
    errors = {"force_mae": abs(F).mean(), "force_rmse": (F**2).mean() ** 0.5, "energy_mae": abs(E).mean()}
    return {name: float(value) for name, value in errors.items()} | figures


def plot(lines: Sequence[str], picture: Path) -> None:
    """Draw force errors against minutes from the lines of a JSON file: points of trainings, lines through means."""
    from matplotlib.figure import Figure

    runs = [json.loads(line) for line in lines]
    ticks = sorted({run["minutes"] for run in runs})
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, program in enumerate(dict.fromkeys(run["program"] for run in runs)):
        points = [(run["minutes"], run["force_mae"]) for run in runs if run["program"] == program]
        means = [(m, float(np.mean([error for of, error in points if of == m]))) for m in ticks if m in dict(points)]
        axes.plot(*zip(*points, strict=True), "o", color=f"C{number}", markersize=4)
        axes.plot(*zip(*means, strict=True), "-", color=f"C{number}", label=program)
    axes.set(xscale="log", yscale="log", xlabel="minutes of training, one thread", ylabel="force MAE (kcal/mol/Å)")
    axes.set_xticks(ticks, [f"{minutes:g}" for minutes in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    axes.set_yticks([], minor=True)
    axes.set_title(runs[0]["data"])
    axes.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left")
    figure.savefig(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", choices=[*PEERS, "pyg_nnp", "plot"])
    parser.add_argument("--data", type=Path, help="npz of MD17: z, R, E, F in kcal/mol and Å")
    parser.add_argument("--minutes", type=float, default=10.0, help="CPU time of the training (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="a file that gets the figures as one more line")
    parser.add_argument("--plot", type=Path, help="the picture of plot")
    arguments = parser.parse_args()
    if arguments.program == "plot":
        plot(arguments.json.read_text(encoding="utf-8").splitlines(), arguments.plot)
        return
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    of = {"data": arguments.data.name, "minutes": arguments.minutes, "seed": arguments.seed}
    if arguments.program == "pyg_nnp":
        figures = train_ours(arguments.data.resolve(), arguments.minutes, arguments.seed)
    else:
        figures = train_peer(arguments.program, arguments.data, arguments.minutes, arguments.seed)
    line = json.dumps({"program": arguments.program, **of, **figures})
    print(line)
    if arguments.json:
        with arguments.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
