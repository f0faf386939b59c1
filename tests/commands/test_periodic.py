"""From a file of crystals and molecules to predictions: init, check, train, predict, evaluate."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import labelled, some_crystals

from pyg_nnp.commands import cli
from pyg_nnp.inference.calculator import PotentialCalculator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a file of silicon, a surface of aluminium, and a dimer."""
    monkeypatch.chdir(tmp_path)
    frames = []
    for seed in range(8):
        dimer = Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]])
        for atoms in (some_crystals()[0], some_crystals()[3], dimer):
            atoms.rattle(0.05, seed=seed)
            frames.append(labelled(atoms))
    ase.io.write("data.xyz", frames, format="extxyz")
    return tmp_path


def test_crystals_from_init_to_evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "data.xyz", "-o", "train.yaml", "--architecture", "SchNet"]) == 0
    document = yaml.safe_load(Path("train.yaml").read_text())
    assert document["Datahub"]["features"] | {"cell": "cell", "pbc": "pbc"} == document["Datahub"]["features"]
    assert document["Datahub"]["targets"]["S"] == "stress"
    assert document["Datahub"]["allow_missing"] == ["S"]
    (model,) = document["Modelhub"].values()
    assert [layer["name"] for layer in model["layers"]][-3:] == ["EnergyReduce", "Force", "Stress"]
    model["build_params"] |= {"dim_embedding": 8, "num_rbf": 8}
    document["Trainer"] |= {"max_epochs": 2, "Splitter": {"parts": ["training"], "ratios": [1.0]}}
    Path("train.yaml").write_text(yaml.safe_dump(document))
    assert cli.main(["check", "train.yaml", "-o", "checked"]) in (0, 1)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    model_folder = f"out/FF01-{document['Modelhub']['FF01']['architecture']}"
    assert cli.main(["predict", model_folder, "data.xyz", "-o", "predicted.xyz"]) == 0
    calculator = PotentialCalculator(model_folder)
    for given, found in zip(ase.io.read("data.xyz", ":"), ase.io.read("predicted.xyz", ":"), strict=True):
        np.testing.assert_allclose(found.cell.array, given.cell.array, atol=1e-7)
        assert (found.pbc == given.pbc).all()
        given.calc = calculator
        np.testing.assert_allclose(found.get_potential_energy(), given.get_potential_energy(), rtol=1e-5)
        np.testing.assert_allclose(found.get_forces(), given.get_forces(), atol=1e-4)
        assert ("stress" in found.calc.results) == bool(given.pbc.any())
        if given.pbc.any():
            np.testing.assert_allclose(found.get_stress(), given.get_stress(), atol=1e-5)
    # energies and forces without a volume, which stress is by
    slab = some_crystals()[0]
    slab.set_cell([*slab.cell[:2], [0, 0, 0]])
    slab.pbc = [True, True, False]
    ase.io.write("slab.xyz", slab, format="extxyz")
    assert cli.main(["predict", model_folder, "slab.xyz", "-o", "predicted_slab.xyz"]) == 0
    assert {*ase.io.read("predicted_slab.xyz").calc.results} >= {"energy", "forces"}
    assert "stress" not in ase.io.read("predicted_slab.xyz").calc.results
    for command in (["evaluate"], ["predict", "-o", "larger_predicted.xyz"]):
        capsys.readouterr()
        larger = [frame * np.where(frame.pbc, 2, 1) for frame in (some_crystals()[0], some_crystals()[3])]
        ase.io.write("larger.xyz", [labelled(frame) for frame in larger], format="extxyz")
        assert cli.main([command[0], model_folder, "larger.xyz", *command[1:]]) == 0
        assert "trained on" not in capsys.readouterr().err
    assert calculator.potential.domain.compositions == ("Al (periodic)", "Si (periodic)", "Si2")
    with pytest.warns(UserWarning, match="not on Si16: predictions may mean nothing"):
        calculator.get_potential_energy(Atoms(larger[0].numbers[:16], larger[0].positions[:16]))
    assert cli.main(["evaluate", model_folder, "data.xyz"]) == 0
    table = capsys.readouterr().out
    # 8 crystals have six numbers each
    assert any(line.split()[:3] == ["S", "all", "48"] for line in table.splitlines())
    # a stress without a cell
    dimer = Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]])
    dimer.calc = SinglePointCalculator(dimer, energy=-1.0, stress=np.zeros(6))
    ase.io.write("dimer.xyz", dimer, format="extxyz")
    assert cli.main(["evaluate", model_folder, "dimer.xyz"]) == 0
    assert "dimer.xyz has no periodic cell, which 'stress' (S) would be of: not compared" in " ".join(
        capsys.readouterr().err.split()
    )


def test_molecules_need_no_cell_and_crystals_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write("water.xyz", labelled(some_crystals()[5]), format="extxyz")
    assert cli.main(["init", "water.xyz", "-o", "train.yaml"]) == 0
    assert "cell" not in yaml.safe_load(Path("train.yaml").read_text())["Datahub"]["features"]
    document = yaml.safe_load(Path("train.yaml").read_text())
    document["Datahub"]["data_path"] = "data.xyz"
    Path("train.yaml").write_text(yaml.safe_dump(document))
    assert cli.main(["check", "train.yaml", "-o", "out"]) == 2
    assert "frame 0: the cell is periodic" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), (3,), (4,)], ids=["bulk", "slab", "wire"])
def test_charges_in_bulk_and_slabs_have_an_electrostatic_energy(folder: Path, more: tuple[int, ...]) -> None:
    frames = []
    for number in (0, 1, *more) * 10:
        atoms = some_crystals()[number]
        atoms.positions[0, 2] -= 1.2 if number == 4 else 0.0  # where Lennard-Jones's atoms may be
        atoms.rattle(0.05, seed=len(frames))
        frames.append(labelled(atoms))
        frames[-1].new_array("REF_charges", np.linspace(-1, 1, len(atoms)))
    ase.io.write("charged.xyz", frames, format="extxyz")
    assert cli.main(["init", "charged.xyz", "-o", "train.yaml"]) == 0
    document = yaml.safe_load(Path("train.yaml").read_text())
    assert document["Datahub"]["targets"]["Qa"] == "REF_charges"
    names = [layer["name"] for layer in document["Modelhub"]["FF01"]["layers"]]
    assert names[names.index("ChargeConservation") + 1] == ("EnergyReduce" if more == (4,) else "ElectrostaticEnergy")
    assert cli.main(["check", "train.yaml", "-o", "checked"]) in (0, 1)


def test_names_of_other_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CASTEP's options and virials, as a public data set has them beside each frame."""
    frames = []
    for seed in range(30):
        atoms = some_crystals()[0]
        atoms.set_cell(atoms.cell * (1 + 0.002 * (seed - 15)), scale_atoms=True)
        atoms.rattle(0.02, seed=seed)
        results = labelled(atoms).calc.results
        frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        frame.new_array("force", results["forces"])
        matrix = results["stress"][[0, 5, 4, 5, 1, 3, 4, 3, 2]]
        frame.info |= {"energy": results["energy"], "virial": -matrix * atoms.get_volume(), "mix_charge_amp": 0.15}
        frames.append(frame)
    ase.io.write("castep.xyz", frames, format="extxyz")
    assert cli.main(["init", "castep.xyz", "-o", "train.yaml"]) == 0
    document = yaml.safe_load(Path("train.yaml").read_text())
    assert document["Datahub"]["targets"] == {"E": "energy", "Fa": "force", "S": "virial"}
    assert "Q" not in document["Datahub"]["features"]
    assert "Q was not taken: 'mix_charge_amp' has no whole numbers" in capsys.readouterr().out
    assert cli.main(["check", "train.yaml", "-o", "checked"]) == 0
    assert "Warnings: none" in capsys.readouterr().err
