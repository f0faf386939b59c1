"""pyg-nnp simulate: files, and what is refused before it begins."""

import json
import re
from pathlib import Path
from typing import Any

import ase.io
import morse
import pytest
from ase.build import bulk, molecule
from simulations import DYNAMICS, results, rows, simulate

from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.checkpoint import load_potential, save_potential
from pyg_nnp.potential.description import TrainingDomain


def test_a_potential_without_units(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    potential = load_potential("toy")
    for name in ("Hartree_in_E", "Bohr_in_R"):
        potential.spec["build_params"].pop(name, None)
    save_potential(potential, Path("toy/best.safetensors"), {})
    assert simulate(model="toy", single_point={}) == 2
    said = capsys.readouterr().err
    assert "does not say its units. Give Hartree_in_E to the calculator, or in build_params of the training." in said


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
    assert "no atoms are as near as in the training data, by a factor of 1.9" in capsys.readouterr().err
    potential.domain = TrainingDomain(shortest_distances={(1, 1): 0.7 / unit, (1, 8): 0.7 / unit})
    save_potential(potential, Path("morse/best.safetensors"), {})
    assert simulate("again", dynamics=DYNAMICS | {"ensemble": "nve"}) == 0
    assert "closer than" not in capsys.readouterr().err


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


OF_CRYSTAL = {"model": "morse_cells", "structure": "crystal.xyz"}
TASKS: list[dict[str, Any]] = [
    {"single_point": {}},
    {"optimization": {"steps": 2}},
    {"dynamics": DYNAMICS | {"steps": 2}},
    {"scan": {"atoms": [0, 1], "start": 1, "stop": 1.1, "points": 2}},
    {"neb": {"final": "stretched.xyz", "images": 1, "steps": 1}},
    {"equation_of_state": {}, **OF_CRYSTAL},
    {"phonons": {"supercell": [2, 2, 2], "points": 3}, **OF_CRYSTAL},
]


@pytest.mark.parametrize("document", TASKS, ids=lambda document: next(iter(document)))
def test_files_are_those_of_the_page(folder: Path, document: dict[str, Any]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "files.md").read_text()
    section = page[page.index("## Files of a simulation") : page.index("## Predictions and errors")]
    task = next(iter(document))
    stretched = molecule("H2O")
    stretched.positions[1] += 0.1
    ase.io.write("stretched.xyz", stretched)
    ase.io.write("crystal.xyz", bulk("Kr", "fcc", a=3.45))
    morse.write_morse(Path("morse_cells"), "HardAtoms", "Stress")
    simulate(**document)
    (columns,) = re.findall(rf"^\| `{task}` \| (.*) \|$", section, re.MULTILINE)
    assert re.findall("`(.*?)`", columns) == Path("out/log.csv").read_text().splitlines()[0].split(",")
    expected = {"trajectory.xyz", "log.csv"}
    own = {"optimization": "optimized.xyz", "dynamics": "restart.json", "equation_of_state": "equation_of_state.json"}
    expected |= {own[task]} if task in own else set()
    assert {path.name for path in Path("out").iterdir() if path.is_file() and path.name != ".lock"} == expected
    assert all(f"| `{name}` |" in section for name in expected)
    if task == "dynamics":
        table = section[section.index("| key of `restart.json`") :]
        assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {
            *json.loads(Path("out/restart.json").read_text())
        }
