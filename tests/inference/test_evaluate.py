from pathlib import Path

import ase.io
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import MODEL, water

from pyg_nnp.inference.evaluate import configuration_for
from pyg_nnp.potential.checkpoint import load_potential


def test_evaluate_takes_the_charge_of_predictions(trained_folder: Path, tmp_path: Path) -> None:
    potential = load_potential(MODEL)
    del potential.spec["config"]["Datahub"]["features"]["Q"]
    atoms = water(1)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "one.xyz", atoms)
    names = {"Ra": "positions", "Za": "numbers"}
    for given, expected in (({}, "charge"), ({"Q": "natoms"}, "natoms")):
        config = configuration_for(potential, tmp_path / "one.xyz", names | given, {})
        assert config.Datahub.features["Q"] == expected
