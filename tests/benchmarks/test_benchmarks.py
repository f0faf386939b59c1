"""The benchmarks run, on systems too small to measure anything."""

import json
import runpy
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from programs import run
from toy import toy_config

from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import save_potential

ROOT = Path(__file__).resolve().parents[2]
TIMES = {"contender", "median_ms", "q1_ms", "q3_ms", "PyG / this"}
ALONE = {"first_ms", "peak_MB"}
EXPECTED = {
    "steps": TIMES | ALONE | {"batch", "task"},
    "molecule": TIMES | ALONE | {"atoms"},
    "scaling": TIMES | {"sweep", "size", "task", "us_per_atom"},
    "epoch": TIMES | {"step_ms", "evaluation_ms", "not_steps", "neither_steps_nor_evaluations"},
}


class Program:
    """Runs benchmarks as commands, but within this process, which has imported what they import."""

    def __init__(self, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._results, self._monkeypatch = results, monkeypatch

    def __call__(self, name: str, *options: str) -> Any:
        """Run one on small systems and return what it writes."""
        path = str(ROOT / "benchmarks" / f"{name}.py")
        self._monkeypatch.setattr(sys, "argv", [path, "--small", *options, "--json", str(self._results)])
        runpy.run_path(path, run_name="__main__")
        return json.loads(self._results.read_text())


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Benchmarks choose their number."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    return Program(tmp_path / "results.json", monkeypatch)


@pytest.mark.parametrize("name", EXPECTED)
def test_benchmark(tmp_path: Path, program: Program, capsys: pytest.CaptureFixture[str], name: str) -> None:
    figure = tmp_path / "figure.svg"
    document = program(
        name, "--repeats", "2", "--threads", "1", *(["--plot", str(figure)] if name == "scaling" else [])
    )
    assert 0 < document["difference_of_atomic_energies"] < 1e-5  # float32, and not the same code twice
    assert document["system"]["threads"] == document["settings"]["threads"] == 1
    assert document["system"]["versions"]["torch"]
    assert document["system"]["cpu"]
    assert {"ours", "PyG"} <= {row["contender"] for row in document["rows"]}
    for row in document["rows"]:
        assert row.keys() == EXPECTED[name]
        assert 0 < row["q1_ms"] <= row["median_ms"] <= row["q3_ms"]
        assert row["PyG / this"] == 1 or row["contender"] != "PyG"
        assert all(row[key] > 0 for key in ALONE & row.keys())
    assert document["title"] in capsys.readouterr().out
    assert figure.exists() == (name == "scaling")
    assert {path.name for path in tmp_path.iterdir()} <= {"results.json", "figure.svg"}


def test_benchmark_of_cores(program: Program) -> None:
    rows = program("cores", "--repeats", "1", "--threads", "1")["rows"]
    assert {row["core"] for row in rows} == {"Cartesian", "PaiNN", "SchNet"}
    assert {row["task"].split(" of ")[0] for row in rows} == {"step", "energies and forces"}
    assert all(0 < row["q1_ms"] <= row["median_ms"] and row["peak_MB"] > 0 for row in rows)


def test_benchmark_of_periodic_cells(program: Program) -> None:
    rows = program("periodic", "steps", "--repeats", "1", "--threads", "1")["rows"]
    assert rows[0]["by molecules"] == 1
    # cells of 64 atoms at 0.1 atoms/Å³, cutoff 5 Å
    assert all(row["pairs"] == pytest.approx(2 * 32 * 52.4, rel=0.02) for row in rows)
    assert all(0 < row["q1_ms"] <= row["median_ms"] <= row["q3_ms"] for row in rows)
    rows = program("periodic", "sizes", "--repeats", "1", "--threads", "1")["rows"]
    assert {(row["dtype"], row["atoms"]) for row in rows} == set(product(("float32", "float64"), (64, 125)))
    assert all(row["peak_MB"] > 0 and row["median_ms"] > 0 for row in rows)


def test_benchmark_of_neighbors(tmp_path: Path, program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    document = program("neighbors", "--repeats", "2", "--threads", "1")
    assert document["difference_of_edges"] < 1e-5
    assert document["difference_of_sums"] < 1e-4
    assert document["system"]["threads"] == 1
    assert document["system"]["versions"]["scipy"]
    assert {"find_edges", "SciPy", "plain torch", "sum_over_atoms"} <= {row["contender"] for row in document["rows"]}
    for row in document["rows"]:
        assert row.keys() == {"task", "molecules", "atoms", "contender", "median_ms", "q1_ms", "q3_ms"}
        assert 0 < row["q1_ms"] <= row["median_ms"] <= row["q3_ms"]
    assert document["title"] in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_benchmark_of_accuracy(program: Program) -> None:
    fresh, trained = program("accuracy", "--epochs", "1")
    assert (fresh.pop("epochs"), trained.pop("epochs")) == (0, 1)
    assert fresh.pop("loss") is None
    assert trained.pop("loss") > 0
    for row in (fresh, trained):
        assert 64 <= row.pop("rows") <= 4096
        assert row.keys() == {"E", "Ea", "Fa", "Qa", "M2", "Q", "largest of the gradients"}
        assert all(0 < error < 1e-6 for error in row.values())


def test_benchmark_of_seeds(program: Program) -> None:
    document = program("seeds", "--seeds", "1", "--epochs", "1")
    assert document["epochs"] == 1
    assert [(row.pop("filters"), row.pop("seed")) for row in document["rows"]] == [("table", 1), ("exact", 1)]
    table, exact = document["rows"]
    assert table.keys() == exact.keys() == {"E", "Fa", "Qa", "M2", "Q"}
    # the same few steps but for rounding
    assert table != exact
    assert table == pytest.approx(exact, rel=0.05)


def test_benchmark_of_missing_labels(program: Program) -> None:
    document = program("missing_labels", "--seeds", "1", "--epochs", "1", "--rows", "whole", "removed", "complete")
    whole, removed, complete = document["rows"]
    assert (whole["frames"], removed["frames"]) == (70, 70)
    assert 0 < complete["frames"] < 40
    assert whole.keys() == {"labels", "seed", "frames", "E", "Fa", "Qa", "M2", "Q"}
    assert whole["Fa"] != removed["Fa"] != complete["Fa"]


@pytest.mark.parametrize("size", [64, 300])
def test_clusters_are_what_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from frames import cluster
    from scipy.spatial import cKDTree

    one, again, other = cluster(size), cluster(size), cluster(size, seed=1)
    assert len(one["coordinates"]) == len(one["atomic_numbers"]) == size
    assert (one["coordinates"] == again["coordinates"]).all()
    assert not (one["coordinates"] == other["coordinates"]).all()
    distances, _ = cKDTree(one["coordinates"]).query(one["coordinates"], k=2)
    assert distances[:, 1].min() > 0.9
    radius = max(abs(one["coordinates"]).max(axis=0))
    assert size / (4 / 3 * 3.1416 * radius**3) > 0.02  # atoms / Å³, of the ball around a cluster that is no ball


def write_potential(folder: Path) -> Path:
    """Save an untrained potential that knows the elements of the example."""
    potential = build_potential(config_from_dict(toy_config()), "FF01")
    save_potential(potential, folder / "best.safetensors", {})
    return folder


@pytest.mark.filterwarnings("ignore:Use thermalize_momenta", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_benchmark_of_engines(tmp_path: Path, program: Program) -> None:
    (tmp_path / "model").mkdir()
    rows = program("engines", str(write_potential(tmp_path / "model")))["rows"]
    assert rows[0]["engine"] == "ASE"
    of_20_steps = [row for row in rows if row["drift_meV/atom/ps"] is not None]
    # the same atoms, potential and algorithm, but for TorchSim's and i-PI's own velocities
    same = [row["spread_meV/atom"] for row in of_20_steps if row["engine"] in ("ASE", "OpenMM", "LAMMPS")]
    assert same == pytest.approx([same[0]] * len(same), rel=0.5)
    assert all(0 < row["share_outside"] < 1 and row["ms_a_step"] > 0 for row in rows)


@pytest.mark.filterwarnings("ignore:Use thermalize_momenta")
def test_benchmark_of_copies_at_once(tmp_path: Path, program: Program) -> None:
    pytest.importorskip("torch_sim")
    one, many = program("engines", str(write_potential(tmp_path)), "batch")["rows"]
    assert (one["copies"], many["copies"]) == (1, 64)
    assert many["ms_a_copy"] < one["ms_a_copy"]
    assert many["GFLOP_a_copy"] == pytest.approx(one["GFLOP_a_copy"], rel=0.1)
    for row in (one, many):
        parts = [row[f"share_of_{name}"] for name in ("torchsim", "neighbors", "products")]
        assert all(share > 0 for share in parts)
        assert sum(parts) < 1
        assert 0 < row["GFLOP/s"] < 10 * row["by_themselves"]


@pytest.mark.filterwarnings("ignore:Use thermalize_momenta", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_benchmark_of_precision(tmp_path: Path, program: Program) -> None:
    (tmp_path / "model").mkdir()
    untrained = Path(__file__).parents[2] / "examples" / "alanine_dipeptide" / "train.yaml"
    rows = program("precision", str(write_potential(tmp_path / "model")), str(untrained))["rows"]
    engines = [row["engine"] for row in rows]
    assert engines[:2] == ["ASE", "ASE"]
    assert engines[-3:] == ["none, reversed", "none, reversed", "none"]
    assert engines[: len(engines) // 2] == engines[len(engines) // 2 :]
    for row in rows:
        is_rounded = row["engine"] in ("metatomic", "none, reversed", "none")
        bound = 1e-12 if row["dtype"] == "float64" else 1e-5 if is_rounded else 1e-7
        assert 0 <= row["forces_median"] <= row["forces"] < bound
        assert row["energy"] < bound
        assert row["structures"] == 2


def test_benchmark_of_dynamics(tmp_path: Path, program: Program) -> None:
    document = program("dynamics", str(write_potential(tmp_path)))
    rows = document["rows"]
    assert {(row["dtype"], row["filters"]) for row in rows} == set(product(("float32", "float64"), ("table", "exact")))
    for row in rows:
        assert (row["ps"], row["fell_into_a_hole"]) == (0.02, "no")
        assert 0 < row["share_of_neighbors"] < row["share_outside_model"] < 1
        assert row["ms_per_step"] > 0 < row["fluctuation_meV/atom"]
    # the same way from the same start, but for rounding; exact filters and tables are not the same code
    drifts = [row["drift_meV/atom/ps"] for row in rows]
    assert len(set(drifts)) == 4
    assert drifts == pytest.approx(drifts[:1] * 4, rel=0.05)


def test_benchmark_of_minima(tmp_path: Path, program: Program) -> None:
    pytest.importorskip("tblite")
    document = program("minima", str(write_potential(tmp_path)))
    (row,) = document["rows"]
    assert (row["geometries"], row["converged"], row["mean_steps"]) == (2, 0, 2)
    # of an untrained potential
    assert row["largest_force_eV/A"] > row["rms_of_components_eV/A"] > 0.1
    assert document["vibrations"] == 6
    assert 0 < document["mean_absolute_deviation_per_cm"] <= document["largest_deviation_per_cm"]


@pytest.mark.parametrize("part", ["correct", "profile"])
def test_checks_on_a_device(program: Program, part: str) -> None:
    """On the CPU, where there is nothing to differ from."""
    document = program("on_device", part, "--cores", "SchNet", "--dtypes", "float32")
    for row in document["rows"]:
        assert row["core"] == "SchNet"
        if part == "profile":
            assert row["ms"] > 0
            assert row["table"]
        else:
            assert row["equal bits"] == 1
            assert {row[name] for name in ("E", "Fa", "Qa", "M2", "gradient, call 1", "gradient, call 3")} == {0}


def test_a_part_that_fails_or_hangs_costs_no_other_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu

    programs = {
        "right": "import json, sys; open(sys.argv[-1], 'w').write('[1]')",
        "wrong": "raise SystemExit('no device')",
        "hangs": "import time; print('begun', flush=True); time.sleep(100)",
    }
    results = {
        name: gpu.run(gpu.Part((sys.executable, "-c", program), 2.0), 2.0, has_results=True)
        for name, program in programs.items()
    }
    assert results["right"]["results"] == [1]
    assert results["right"]["exit status"] == "0"
    assert (results["wrong"]["exit status"], results["wrong"]["output"]) == ("1", "no device\n")
    assert (results["hangs"]["exit status"], results["hangs"]["output"]) == ("stopped after 2 s", "begun\n")
    assert {"tests", "correct", "steps", "molecule", "profile", "example"} < gpu.parts("cuda", False).keys()


def test_benchmark_of_the_example(tmp_path: Path) -> None:
    # in a process of its own, whose clock it changes
    options = ["--small", "--seeds", "1", "--minutes", "0.01", "--json", str(tmp_path / "results.json")]
    status, _, errors = run([str(ROOT / "benchmarks" / "example.py"), *options])
    assert status == 0, errors
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row.pop("config"), row.pop("seed")) for row in rows] == [("train.yaml", 0), ("cartesian.yaml", 0)]
    assert all(row.keys() == {"E", "Fa", "Qa", "M2", "seconds"} and min(row.values()) > 0 for row in rows)


PARTLY_0 = {"no products": {"lin1.weight", "lin2.weight"}, "no rank 2": {"mix.2.weight", "update.1.weight"}}


@pytest.mark.parametrize("name", list(PARTLY_0))
def test_what_an_ablation_leaves_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from ablations import PARTS

    from pyg_nnp.layers.cores.cartesian import CartesianInteraction

    # changed by the ablation, and as it was after the test
    monkeypatch.setattr(CartesianInteraction, "__init__", CartesianInteraction.__init__)
    PARTS[name]({})
    weights = {key: one for key, one in CartesianInteraction(4, 5, 6, 2).named_parameters() if "bias" not in key}
    assert {key for key, weight in weights.items() if not weight.all()} == PARTLY_0[name]
    for weight in weights.values():
        weight.sum().backward()
        # what is 0 stays so
        assert torch.equal(weight.grad != 0, weight != 0)


def test_benchmark_of_threads(tmp_path: Path) -> None:
    program = str(ROOT / "benchmarks" / "threads.py")
    status, out, err = run([program, "--small", "--repeats", "1"], tmp_path)
    assert status == 0, err
    rows = [line.split("│")[1:-1] for line in out.splitlines() if "2 x 22 atoms" in line]
    assert [row[1].strip() for row in rows] == ["no", "yes"]
    assert all(float(row[2]) > 0 and float(row[5]) > 0 for row in rows)
