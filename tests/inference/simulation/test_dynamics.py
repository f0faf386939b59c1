"""Dynamics: physics that is known, and runs that go on with the same bits."""

import signal
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import programs
import pytest
from ase.build import molecule
from simulations import DYNAMICS, last, results, rows, simulate

from pyg_nnp.inference.simulation.trajectory import Trajectory


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_stopped_dynamics_go_on_with_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ensemble: str, number: signal.Signals
) -> None:
    document = {"model": "toy", "dynamics": DYNAMICS | {"ensemble": ensemble}}
    assert simulate("whole", **document) == 0
    advance = Trajectory.advance

    def stopped(trajectory: Trajectory, record: Any) -> None:
        if trajectory.step == 22:
            signal.raise_signal(number)  # within the step: it is finished
        advance(trajectory, record)

    with monkeypatch.context() as patch:
        patch.setattr(Trajectory, "advance", stopped)
        assert simulate("parts", **document) == 128 + number
    assert results("parts")[2]["step"] == 23
    assert simulate("parts", "--resume", **document) == 0
    assert results("parts") == results("whole")
    assert results("parts")[2]["step"] == 60


KILLED = """
import os, signal, sys
import morse
from pyg_nnp.commands import cli
from pyg_nnp.inference.simulation.trajectory import Trajectory
advance = Trajectory.advance
def killed(trajectory, record):
    advance(trajectory, record)
    if trajectory.step == 26:
        os.kill(os.getpid(), signal.SIGKILL)
Trajectory.advance = killed
cli.main(["simulate", "sim.yaml", "-o", "parts"])
"""


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_killed_dynamics_go_on_with_the_same_bits(folder: Path, ensemble: str) -> None:
    document = {"dynamics": DYNAMICS | {"ensemble": ensemble}}
    assert simulate("whole", **document) == 0
    assert programs.run(["-c", KILLED])[0] == -signal.SIGKILL
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
