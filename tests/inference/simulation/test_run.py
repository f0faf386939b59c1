"""pyg-nnp simulate: physics that is known, runs that were stopped, mistakes of users."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase.io
import morse
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import molecule
from toy import toy_config

from pyg_nnp.commands import cli
from pyg_nnp.config import config_from_dict
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.simulation.config import NEB, Dynamics, Relaxation, Scan, Simulation
from pyg_nnp.inference.simulation.dynamics import Run
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import load_potential, save_potential
from pyg_nnp.potential.domain import TrainingDomain
from pyg_nnp.units import HARTREE_IN_EV

TESTS = Path(__file__).resolve().parents[2]
EXAMPLE = TESTS.parent / "examples" / "alanine_dipeptide" / "simulate.yaml"
DYNAMICS = {"steps": 60, "interval": 5, "save_interval": 7, "timestep": 0.2, "seed": 3, "max_temperature": 1e9}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with two potentials and a structure in it."""
    monkeypatch.chdir(tmp_path)
    morse.write_morse(tmp_path / "morse")
    (tmp_path / "toy").mkdir()
    toy = build_potential(config_from_dict(toy_config()), "FF01")
    toy.domain = TrainingDomain(elements=(1, 8))
    save_potential(toy, tmp_path / "toy" / "best.safetensors", {})
    ase.io.write("water.xyz", molecule("H2O"))
    return tmp_path


def simulate(out: str = "out", *options: str, **document: Any) -> int:
    """Run the command on a document; the default is a single point of water with Morse bonds."""
    document = {"model": "morse", "structure": "water.xyz"} | document
    Path("sim.yaml").write_text(yaml.safe_dump(document))
    return cli.main(["simulate", "sim.yaml", "-o", out, *options])


def rows(out: str = "out") -> np.ndarray:
    return np.genfromtxt(f"{out}/log.csv", delimiter=",", names=True)


def last(out: str = "out") -> Atoms:
    return ase.io.read(f"{out}/trajectory.xyz")


def test_single_point_writes_all_properties(folder: Path) -> None:
    assert simulate(model="toy", structure="water.xyz", charge=-1, single_point=None) == 0
    atoms, found = molecule("H2O"), last()
    atoms.info["charge"] = -1
    atoms.calc = PotentialCalculator(folder / "toy")
    atoms.get_potential_energy()
    for name in ("energy", "forces", "charges", "dipole"):
        np.testing.assert_allclose(found.calc.results[name], atoms.calc.results[name], atol=1e-6)
    assert found.info["charge"] == -1
    assert rows()["energy_eV"] == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("optimizer", ["BFGS", "LBFGS", "FIRE"])
def test_optimisation_ends_in_the_minimum(folder: Path, optimizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(optimisation={"optimizer": optimizer, "fmax": 0.001}) == 0
    np.testing.assert_allclose(last().get_all_distances()[np.triu_indices(3, 1)], morse.R0, atol=1e-4)
    assert rows()["energy_eV"][-1] == pytest.approx(-3 * morse.D * HARTREE_IN_EV, abs=1e-6)
    assert rows()["largest_force_eV_per_A"][-1] < 0.001
    said = re.search(r"Converged after (\d+) steps: energy from (\S+) to (\S+) eV", capsys.readouterr().err)
    assert said
    assert int(said[1]) == rows()["step"][-1]
    assert float(said[2]) == pytest.approx(rows()["energy_eV"][0], abs=1e-6)
    assert float(said[3]) == pytest.approx(rows()["energy_eV"][-1], abs=1e-6)
    np.testing.assert_array_equal(ase.io.read("out/optimized.xyz").positions, last().positions)


def test_the_last_of_several_structures_is_taken_and_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stretched = molecule("H2O")
    stretched.positions[1] += 0.1
    ase.io.write("two.xyz", [molecule("H2O"), stretched])
    assert simulate(single_point={}, structure="two.xyz") == 0
    assert "two.xyz: has 2 structures, of which the last is taken." in capsys.readouterr().err
    np.testing.assert_allclose(last().positions, stretched.positions, atol=1e-7)


def test_what_has_not_converged_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(optimization={"steps": 2}) == 1
    assert "Not converged" in capsys.readouterr().err
    assert len(ase.io.read("out/trajectory.xyz", ":")) == 3


def test_atoms_closer_than_in_the_training_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    potential = load_potential("morse")
    unit = PotentialCalculator("morse").length_unit
    potential.domain = TrainingDomain(shortest_distances={(1, 1): 0.7 / unit, (1, 8): 1.2 / unit})
    save_potential(potential, Path("morse/best.safetensors"), {})
    assert simulate(dynamics=DYNAMICS | {"ensemble": "nve", "interval": 1}) == 0
    said = capsys.readouterr().err
    frames = ase.io.read("out/trajectory.xyz", ":")
    shortest = min(atoms.get_distance(0, i) for atoms in frames for i in (1, 2))
    of_frames = [min(a.get_distance(0, i) / 1.2 for i in (1, 2)) for a in frames]
    ratios = rows()["shortest_vs_training"]
    for atoms, of_OH, ratio in zip(frames, of_frames, ratios, strict=True):
        of_HH = atoms.get_distance(1, 2) / 0.7
        assert ratio == pytest.approx(min(of_OH, of_HH), abs=1e-6)
    assert shortest == pytest.approx(1.2 * min(of_frames))
    outside = [number for number, ratio in enumerate(of_frames) if ratio < 0.98]
    first = frames[outside[0]]
    assert (
        f"Step {first.info['step']} ({first.info['time_ps']:g} ps): atoms come closer than in the training data, where "
        f"the potential has learned nothing: H-O {1.2 * of_frames[outside[0]]:.3f} Å (1.200" in said
    )
    assert said.count("atoms come closer") == 1
    assert f"{len(outside)} of {len(frames)} frames, the first at {first.info['time_ps']:g} ps, have atoms" in said
    assert f"down to {min(of_frames):.2f} times" in said
    assert "H-H" not in said
    potential.domain = TrainingDomain(shortest_distances={(1, 8): 0.5 / unit, (8, 8): 2.0 / unit})
    save_potential(potential, Path("morse/best.safetensors"), {})
    assert simulate("far", dynamics=DYNAMICS | {"ensemble": "nve"}) == 0
    assert "No atoms are as near as in the training data, by a factor of 1.9" in capsys.readouterr().err
    potential.domain = TrainingDomain(shortest_distances={(1, 1): 0.7 / unit, (1, 8): 0.7 / unit})
    save_potential(potential, Path("morse/best.safetensors"), {})
    assert simulate("again", dynamics=DYNAMICS | {"ensemble": "nve"}) == 0
    assert "closer than" not in capsys.readouterr().err


def test_long_timesteps_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heavy = molecule("H2O")
    heavy.set_masses([16.0, 4.0, 4.0])
    ase.io.write("heavy.xyz", heavy, columns=["symbols", "positions", "masses"])
    for number, (structure, timestep, told) in enumerate(
        [("water.xyz", 1.6, True), ("water.xyz", 1.4, False), ("heavy.xyz", 1.6, False)]
    ):
        dynamics = DYNAMICS | {"steps": 1, "timestep": timestep}
        assert simulate(str(number), structure=structure, dynamics=dynamics) == 0
        assert (f"{timestep} fs is long" in capsys.readouterr().err) == told


def test_a_thermostat_says_what_is_expected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(dynamics=DYNAMICS | {"ensemble": "langevin", "temperature": 200}) == 0
    expected = 200 * (2 / 9) ** 0.5
    said = f"by {rows()['temperature_K'].std():.0f} K (200 K that fluctuate by {expected:.0f} K are expected"
    assert said in capsys.readouterr().err


def test_constraints_hold(folder: Path) -> None:
    start = molecule("H2O")
    held = {"fixed_atoms": [0], "fixed_distances": [[1, 2]]}
    assert simulate("nve", dynamics=DYNAMICS | {"ensemble": "nve"}, constraints=held) == 0
    assert simulate("opt", optimization={"fmax": 0.001}, constraints=held) == 0
    for atoms in (last("nve"), last("opt")):
        np.testing.assert_allclose(atoms.positions[0], start.positions[0], atol=1e-7)
        assert atoms.get_distance(1, 2) == pytest.approx(start.get_distance(1, 2), abs=1e-7)
        assert not np.allclose(atoms.positions[1], start.positions[1], atol=1e-3)
    assert last("opt").get_distance(0, 1) == pytest.approx(morse.R0, abs=1e-3)


def test_only_constant_energy_starts_without_motion_of_the_whole(folder: Path) -> None:
    for ensemble, moves in (("nve", False), ("langevin", True)):
        assert simulate(ensemble, dynamics=DYNAMICS | {"ensemble": ensemble}) == 0
        first = ase.io.read(f"{ensemble}/trajectory.xyz", 0)
        assert (np.abs(first.get_momenta().sum(axis=0)).max() > 1e-3) == moves


def test_energy_is_conserved_without_motion_of_the_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(dynamics=DYNAMICS | {"ensemble": "nve", "steps": 500}) == 0
    log, first = rows(), ase.io.read("out/trajectory.xyz", 0)
    assert log["kinetic_eV"].std() > 100 * log["total_eV"].std()
    second_half = log["temperature_K"][len(log) // 2 :].mean()
    said = capsys.readouterr().err
    assert f"temperature {log['temperature_K'].mean():.1f} K, in the second half {second_half:.1f} K; total" in said
    assert f"total energy from {log['total_eV'].min():.4f} to {log['total_eV'].max():.4f} eV" in said
    assert "No bond has formed or broken." in said
    assert np.abs(first.get_momenta().sum(axis=0)).max() < 1e-6
    assert np.abs(first.get_angular_momentum()).max() < 1e-5
    # 3 vibrations are all that is left of 9
    kinetic = first.get_kinetic_energy()
    assert log["temperature_K"][0] == pytest.approx(2 * kinetic / (3 * 8.617333e-5), rel=1e-4)


def test_thermostat_keeps_the_temperature(folder: Path) -> None:
    assert (
        simulate(dynamics={"temperature": 250, "friction": 0.2, "steps": 900, "interval": 5, "max_temperature": 1e9})
        == 0
    )
    log = rows()
    # 9 degrees of freedom over some 90 correlation times: about 6 %
    assert log["temperature_K"][20:].mean() == pytest.approx(250, rel=0.2)
    assert log["time_ps"][-1] == 0.45


def test_velocities_of_the_structure(folder: Path) -> None:
    assert simulate("first", dynamics=DYNAMICS) == 0
    nve = DYNAMICS | {"ensemble": "nve", "velocities": "structure", "steps": 5}
    assert simulate("second", structure="first/trajectory.xyz", dynamics=nve) == 0
    before, after = last("first"), ase.io.read("second/trajectory.xyz", 0)
    # what is left are the vibrations
    assert 0 < after.get_kinetic_energy() < before.get_kinetic_energy()
    assert np.abs(after.get_momenta().sum(axis=0)).max() < 1e-6 < np.abs(before.get_momenta().sum(axis=0)).max()
    change = after.get_velocities() - before.get_velocities()
    assert (change[1] - change[0]) @ (after.positions[1] - after.positions[0]) == pytest.approx(0, abs=1e-6)


def test_scan_of_a_distance(folder: Path) -> None:
    options = {"atoms": [0, 1], "start": 0.9, "stop": 1.5, "points": 4, "fmax": 0.001}
    assert simulate("relaxed", scan=options) == 0
    assert simulate("rigid", scan=options | {"relaxed": False}) == 0
    relaxed, rigid = rows("relaxed"), rows("rigid")
    np.testing.assert_allclose(relaxed["distance_A"], [0.9, 1.1, 1.3, 1.5])
    for frame, distance in zip(ase.io.read("relaxed/trajectory.xyz", ":"), relaxed["distance_A"], strict=True):
        assert frame.get_distance(0, 1) == pytest.approx(distance, abs=1e-6)
        # the third atom is free to find both of its minima
        assert frame.get_distance(0, 2) == pytest.approx(morse.R0, abs=1e-3)
    bond = (1 - np.exp(-morse.A * (relaxed["distance_A"] - morse.R0))) ** 2 - 1
    np.testing.assert_allclose(relaxed["energy_eV"], HARTREE_IN_EV * morse.D * (bond - 2), atol=1e-5)
    assert (rigid["energy_eV"] > relaxed["energy_eV"]).all()
    assert all(
        np.allclose(a.positions[2], molecule("H2O").positions[2]) for a in ase.io.read("rigid/trajectory.xyz", ":")
    )


def pyramid(height: float) -> Atoms:
    """Return N above or below a triangle of H, all at the minimum of their Morse bonds."""
    radius = morse.R0 / np.sqrt(3)
    corners = [[radius * np.cos(t), radius * np.sin(t), 0] for t in 2 * np.pi / 3 * np.arange(3)]
    return Atoms("NH3", [[0, 0, height], *corners])


@pytest.mark.parametrize("interpolation", ["idpp", "linear"])
def test_barrier_of_inversion(folder: Path, interpolation: str) -> None:
    height = morse.R0 * np.sqrt(2 / 3)
    ase.io.write("up.xyz", pyramid(height))
    ase.io.write("down.xyz", pyramid(-height))
    options = {"final": "down.xyz", "images": 4, "fmax": 0.01, "interpolation": interpolation}
    assert simulate(structure="up.xyz", neb=options, constraints={"fixed_atoms": [1, 2, 3]}) == 0
    # N climbs to the centre of the triangle, although no image starts there
    barrier = 3 * morse.D * (1 - np.exp(-morse.A * (morse.R0 / np.sqrt(3) - morse.R0))) ** 2 * HARTREE_IN_EV
    assert rows()["barrier_eV"][-1] == pytest.approx(barrier, rel=1e-3)
    assert rows()["reaction_eV"][-1] == pytest.approx(0, abs=1e-3)
    images = ase.io.read("out/trajectory.xyz", ":")
    assert len(images) == 6
    assert min(np.linalg.norm(image.positions[0]) for image in images) < 0.02


def results(out: str) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return trajectory, log, and the last state with all digits."""
    state = json.loads(Path(out, "restart.json").read_text())
    kept = {key: state[key] for key in ("step", "positions", "momenta", "generator", "sizes")}
    return Path(out, "trajectory.xyz").read_bytes(), Path(out, "log.csv").read_bytes(), kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_stopped_dynamics_go_on_with_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ensemble: str, number: signal.Signals
) -> None:
    document = {"model": "toy", "dynamics": DYNAMICS | {"ensemble": ensemble}}
    assert simulate("whole", **document) == 0
    advance = Run.advance

    def stopped(run: Run, record: Any) -> None:
        if run.step == 22:
            signal.raise_signal(number)  # within the step: it is finished
        advance(run, record)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", stopped)
        assert simulate("parts", **document) == 128 + number
    assert results("parts")[2]["step"] == 23
    assert simulate("parts", "--resume", **document) == 0
    assert results("parts") == results("whole")
    assert results("parts")[2]["step"] == 60


KILLED = """
import os, signal, sys
import morse
from pyg_nnp.commands import cli
from pyg_nnp.inference.simulation.dynamics import Run
advance = Run.advance
def killed(run, record):
    advance(run, record)
    if run.step == 26:
        os.kill(os.getpid(), signal.SIGKILL)
Run.advance = killed
cli.main(["simulate", "sim.yaml", "-o", "parts"])
"""


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_killed_dynamics_go_on_with_the_same_bits(folder: Path, ensemble: str) -> None:
    document = {"dynamics": DYNAMICS | {"ensemble": ensemble}}
    assert simulate("whole", **document) == 0
    done = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"})
    assert done.returncode == -signal.SIGKILL
    assert results("parts")[2]["step"] == 21
    # as if it had been within a frame
    with Path("parts/trajectory.xyz").open("a") as file:
        file.write("3\nhalf a fra")
    assert simulate("parts", "--resume", **document) == 0
    assert results("parts") == results("whole")


def test_dynamics_can_be_made_longer(folder: Path) -> None:
    assert simulate("whole", dynamics=DYNAMICS) == 0
    assert simulate("parts", "--resume", dynamics=DYNAMICS | {"steps": 30}) == 0
    assert simulate("parts", "--resume", dynamics=DYNAMICS) == 0
    assert results("parts") == results("whole")


def test_another_simulation_does_not_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(dynamics=DYNAMICS | {"steps": 10}) == 0
    before = results("out")
    assert simulate("out", dynamics=DYNAMICS) == 2
    assert "out holds results of a simulation already: restart.json, trajectory.xyz, log.csv" in capsys.readouterr().err
    assert simulate("out", "--resume", dynamics=DYNAMICS | {"timestep": 0.1}) == 2
    assert "config.dynamics.timestep was 0.2 and is 0.1" in capsys.readouterr().err
    assert simulate("out", "--resume", single_point={}) == 2
    assert "Only dynamics go on" in capsys.readouterr().err
    ase.io.write("water.xyz", molecule("H2O").repeat(1)[[1, 0, 2]])
    assert simulate("out", "--resume", dynamics=DYNAMICS) == 2
    assert "inputs.structure was" in capsys.readouterr().err
    assert results("out") == before


def test_damaged_results_do_not_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(dynamics=DYNAMICS | {"steps": 10}) == 0
    trajectory = Path("out/trajectory.xyz")
    whole = trajectory.read_bytes()
    trajectory.write_bytes(whole[:-9])
    assert simulate("out", "--resume", dynamics=DYNAMICS) == 2
    assert "trajectory.xyz: it is shorter than it was" in capsys.readouterr().err
    trajectory.write_bytes(whole)
    Path("out/restart.json").write_text("{}")
    assert simulate("out", "--resume", dynamics=DYNAMICS) == 2
    assert "restart.json: it is damaged" in capsys.readouterr().err
    assert trajectory.read_bytes() == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"timestep": 30.0, "temperature": 3000.0, "max_temperature": 1e4},
            r"step \d+: .*shorter timestep",
        ),
        ({"max_temperature": 1.0}, r"SimulationError: step 0: the temperature is \d+ K, above max_temperature"),
    ],
)
def test_explosion(folder: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str) -> None:
    assert simulate(dynamics=DYNAMICS | {"interval": 1} | options) == 2
    assert re.search(message, capsys.readouterr().err)


def test_atoms_that_fly_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = molecule("H2O")
    fast.set_velocities([[0, 0, 0], [0, 8, 0], [0, -8, 0]])
    ase.io.write("fast.xyz", fast)
    options = {"velocities": "structure", "ensemble": "nve", "steps": 2000}
    assert simulate(structure="fast.xyz", dynamics=DYNAMICS | options) == 2
    assert re.search(r"step \d+: atoms fly apart: none is within 8.0 Å of atom [012]", capsys.readouterr().err)
    # what was written before stays
    assert len(ase.io.read("out/trajectory.xyz", ":")) == len(rows()) > 1


@pytest.mark.parametrize(
    ("distance", "speed", "message"),
    [
        (
            2.5,
            0.0,
            r"Step \d+: atoms 0 \(C\) and 1 \(C\) are 1\.\d+ Å apart, as near as if bonded, which they were not",
        ),
        (1.1, 0.6, r"Step \d+: atoms 0 \(C\) and 1 \(C\) are 2\.[4-9]\d? Å apart, too far apart to be bonded"),
        (1.1, 0.1, None),
    ],
)
def test_bonds_that_form_or_break(
    folder: Path, capsys: pytest.CaptureFixture[str], distance: float, speed: float, message: str | None
) -> None:
    two = Atoms("C2", [[0, 0, 0], [0, 0, distance]])
    two.set_velocities([[0, 0, -speed], [0, 0, speed]])
    ase.io.write("two.xyz", two)
    options = {"velocities": "structure", "ensemble": "nve", "steps": 400}
    assert simulate(structure="two.xyz", dynamics=DYNAMICS | options) == 0
    said = capsys.readouterr().err
    assert ("No bond has formed or broken." in said) == (message is None)
    warnings = [line for line in said.splitlines() if "Said once" in line]
    assert len(warnings) == (message is not None)
    assert message is None or re.search(message, warnings[0])


def test_energy_that_is_no_number(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    potential = build_potential(config_from_dict(toy_config()), "FF01")
    next(potential.parameters()).data.fill_(float("nan"))
    save_potential(potential, folder / "toy" / "best.safetensors", {})
    assert simulate(model="toy", single_point={}) == 2
    assert "SimulationError: step 0: the energy is nan eV" in capsys.readouterr().err


MISTAKES = [
    ({"dynamcs": {"steps": 1}}, r"sim.yaml: unknown key 'dynamcs'. Did you mean 'dynamics'\?"),
    ({"single_point": {}, "timestep": 1}, "unknown key 'timestep'. It belongs under dynamics."),
    ({}, "one of single_point, optimization, dynamics, scan, neb says what to do; there is none"),
    ({"single_point": {}, "optimization": {}}, "there are single_point and optimization"),
    ({"dynamics": {"steps": 10, "time": 1}}, "dynamics: one of steps and time"),
    ({"dynamics": {"steps": 10, "ensemble": "npt"}}, "dynamics.ensemble: expects one of nve, langevin, found 'npt'"),
    ({"dynamics": {"steps": 10, "temprature": 1}}, r"dynamics: unknown key 'temprature'. Did you mean 'temperature'\?"),
    ({"dynamics": {"steps": 10, "velocities": "structure"}}, "dynamics.velocities: the structure file has none"),
    ({"scan": {"start": 1, "stop": 2, "points": 3}}, "scan: 'atoms' is missing: the two atoms"),
    ({"scan": {"atoms": [0, 3], "start": 1, "stop": 2, "points": 3}}, "scan.atoms: there is no atom 3"),
    ({"scan": {"atoms": [0, 0], "start": 1, "stop": 2, "points": 3}}, "scan.atoms: expects the numbers of two atoms"),
    (
        {"scan": {"atoms": [0, 1], "start": 1, "stop": 2, "points": 3}, "constraints": {"fixed_atoms": [1]}},
        "scan: atom 1 is part of constraints, too",
    ),
    ({"single_point": {}, "constraints": {"fixed_atoms": [7]}}, "constraints.fixed_atoms: there is no atom 7"),
    (
        {"single_point": {}, "constraints": {"fixed_atoms": [1], "fixed_distances": [[0, 1]]}},
        r"constraints.fixed_distances\[0\]: atom 1 is also one of fixed_atoms",
    ),
    ({"neb": {"final": "other.xyz"}}, "neb.final: other.xyz has other atoms than structure"),
    ({"neb": {"final": "water.xyz"}, "constraints": {"fixed_distances": [[0, 1]]}}, "a path has other distances"),
    ({"single_point": {}, "structure": "watre.xyz"}, r"watre.xyz: there is no such file.*Did you mean 'water.xyz'\?"),
    ({"single_point": {}, "structure": "noise.xyz"}, "noise.xyz: ASE cannot read a structure from it"),
    (
        {"single_point": {}, "model": "toy", "structure": "gold.xyz"},
        "gold.xyz: this potential was not trained on Au, only on H, O",
    ),
    ({"single_point": {}, "structure": "crystal.xyz"}, "crystal.xyz: frame 0: the cell is periodic"),
    ({"single_point": {}, "model": "nowhere"}, "nowhere: no potential here"),
    ({"single_point": {}, "cuda": True}, "cuda: there is no CUDA device here"),
]


TASKS: list[dict[str, Any]] = [
    {"single_point": {}},
    {"optimization": {"steps": 2}},
    {"dynamics": DYNAMICS | {"steps": 2}},
    {"scan": {"atoms": [0, 1], "start": 1, "stop": 1.1, "points": 2}},
    {"neb": {"final": "stretched.xyz", "images": 1, "steps": 1}},
]


@pytest.mark.parametrize("document", TASKS, ids=lambda document: next(iter(document)))
def test_files_are_those_of_the_page(folder: Path, document: dict[str, Any]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "files.md").read_text()
    section = page[page.index("## Files of a simulation") : page.index("## Predictions and errors")]
    task = next(iter(document))
    stretched = molecule("H2O")
    stretched.positions[1] += 0.1
    ase.io.write("stretched.xyz", stretched)
    simulate(**document)
    (columns,) = re.findall(rf"^\| `{task}` \| (.*) \|$", section, re.MULTILINE)
    assert re.findall("`(.*?)`", columns) == Path("out/log.csv").read_text().splitlines()[0].split(",")
    expected = {"trajectory.xyz", "log.csv"}
    expected |= {"optimization": {"optimized.xyz"}, "dynamics": {"restart.json"}}.get(task, set())
    assert {path.name for path in Path("out").iterdir() if path.is_file() and path.name != ".lock"} == expected
    assert all(f"| `{name}` |" in section for name in expected)
    if task == "dynamics":
        table = section[section.index("| key of `restart.json`") :]
        assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {
            *json.loads(Path("out/restart.json").read_text())
        }


@pytest.mark.parametrize(("document", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    document: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    Path("noise.xyz").write_text("3\n\nO 0 0\n")
    ase.io.write("other.xyz", molecule("H2O")[[1, 0, 2]])
    ase.io.write("gold.xyz", Atoms("Au"))
    ase.io.write("crystal.xyz", Atoms("H", cell=[5, 5, 5], pbc=True))
    assert simulate(**document) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not any(path.stat().st_size for path in Path().glob("out/*.*"))


def test_the_example_shows_every_option_with_its_default() -> None:
    text = EXAMPLE.read_text()
    head, *tasks = re.split(r"(?m)^# (?=single_point|optimization|scan|neb)", text)
    document = yaml.safe_load(head)
    assert document.keys() == Simulation.model_fields.keys() - {"single_point", "optimization", "scan", "neb"}
    Simulation.model_validate(document)
    shown = {"dynamics": document["dynamics"]}
    for task in tasks:
        shown |= yaml.safe_load(re.sub(r"(?m)^#? ?", "", task.replace("# ", "", 0)))
    for name, section in {"dynamics": Dynamics, "optimization": Relaxation, "scan": Scan, "neb": NEB}.items():
        options = shown[name]
        assert options.keys() == section.model_fields.keys() - {"steps"} | (options.keys() & {"steps"})
        section.model_validate(options)
        for key, field in section.model_fields.items():
            if not field.is_required() and key in options and key != "time":
                assert options[key] == field.default, f"{name}.{key}"
