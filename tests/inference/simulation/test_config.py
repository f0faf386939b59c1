"""Mistakes in simulation files; the example with every option."""

import re
from pathlib import Path
from typing import Any

import ase.io
import pytest
import yaml
from ase import Atoms
from ase.build import molecule
from simulations import TESTS, simulate

from pyg_nnp.inference.simulation.config import (
    NEB,
    TASKS,
    Dynamics,
    EquationOfState,
    Optimization,
    Phonons,
    Scan,
    Simulation,
)

EXAMPLE = TESTS.parent / "examples" / "alanine_dipeptide" / "simulate.yaml"

MISTAKES = [
    ({"dynamcs": {"steps": 1}}, r"sim.yaml: unknown key 'dynamcs'. Did you mean 'dynamics'\?"),
    ({"single_point": {}, "timestep": 1}, "unknown key 'timestep'. It belongs under dynamics."),
    (
        {},
        "scan, neb, equation_of_state, phonons says what to do; there is none",
    ),
    ({"single_point": {}, "optimization": {}}, "there are single_point and optimization"),
    ({"dynamics": {"steps": 10, "time": 1}}, "dynamics: one of steps and time"),
    (
        {"dynamics": {"steps": 10, "ensemble": "nph"}},
        "dynamics.ensemble: expects one of nve, langevin, npt, found 'nph'",
    ),
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
    (
        {"single_point": {}, "model": "toy", "structure": "crystal.xyz"},
        r"crystal.xyz: the cell is periodic, but layer \d \(AtomicCharge2Dipole\) reads the positions",
    ),
    ({"optimization": {"cell": True}}, "optimization.cell: a cell changes if it is periodic in three directions"),
    (
        {"dynamics": {"steps": 1, "ensemble": "npt"}, "structure": "crystal.xyz"},
        "dynamics.ensemble: this potential predicts no stress. Train one with the layer Stress",
    ),
    ({"single_point": {}, "model": "nowhere"}, "nowhere: no potential here"),
    ({"single_point": {}, "cuda": True}, "cuda: there is no CUDA device here"),
]


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
    ase.io.write("crystal.xyz", Atoms("H2", [[0, 0, 0], [0, 0, 1]], cell=[5, 5, 5], pbc=True))
    assert simulate(**document) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not any(path.stat().st_size for path in Path().glob("out/*.*"))


def test_the_example_shows_every_option_with_its_default() -> None:
    text = EXAMPLE.read_text()
    head, *tasks = re.split(r"(?m)^# (?=single_point|optimization|scan|neb|equation_of_state|phonons)", text)
    document = yaml.safe_load(head)
    assert document.keys() == Simulation.model_fields.keys() - (set(TASKS) - {"dynamics"})
    Simulation.model_validate(document)
    shown = {"dynamics": document["dynamics"]}
    for task in tasks:
        shown |= yaml.safe_load(re.sub(r"(?m)^#? ?", "", task.replace("# ", "", 0)))
    sections = {"dynamics": Dynamics, "optimization": Optimization, "scan": Scan, "neb": NEB}
    sections |= {"equation_of_state": EquationOfState, "phonons": Phonons}
    for name, section in sections.items():
        options = shown[name]
        assert options.keys() == section.model_fields.keys() - {"steps"} | (options.keys() & {"steps"})
        section.model_validate(options)
        for key, field in section.model_fields.items():
            if not field.is_required() and key in options and key != "time":
                assert options[key] == field.default, f"{name}.{key}"
