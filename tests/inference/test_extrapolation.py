"""What was not seen in training is warned of."""

import warnings
from pathlib import Path

import ase.io
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import MODEL, water
from potentials import distorted_water, potential_in

from pyg_nnp.commands import cli
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.extrapolation import ShortestDistances, unknown_compositions
from pyg_nnp.potential.description import TrainingDomain


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_unknown_compositions(
    trained_folder: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alien = [water(), Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]), Atoms("H", [[0, 0, 0]])]
    for name, structures in (("alien.xyz", alien), ("known.xyz", [water()])):
        for atoms in structures:
            atoms.info["charge"], atoms.calc = 0, SinglePointCalculator(atoms, energy=-1.0)
        ase.io.write(tmp_path / name, structures)
        options = {
            "predict": ["-o", str(tmp_path / f"{name}.npz")],
            "evaluate": [],
        }[command]
        assert cli.main([command, MODEL, str(tmp_path / name), *options]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert ("trained on C2H6, CH4, H2O, not on H, HO: predictions may mean nothing" in said) == (
            name == "alien.xyz"
        )


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_all_is_farther_apart_than_in_training(
    trained_folder: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for factor in (1.0, 1.8897):
        stretched = water()
        stretched.positions *= factor
        stretched.info["charge"], stretched.calc = 0, SinglePointCalculator(stretched, energy=-1.0)
        ase.io.write(tmp_path / f"{factor}.xyz", stretched)
        out = ["-o", str(tmp_path / f"out{factor}.xyz")] if command == "predict" else []
        assert cli.main([command, MODEL, str(tmp_path / f"{factor}.xyz"), *out]) == 0
        said = "No atoms are as near as in the training data, by a factor of 1." in capsys.readouterr().err
        assert said == (factor > 1)


def test_charges_never_seen_are_warned_of() -> None:
    potential = potential_in(1.0, 0.529177)
    potential.domain = TrainingDomain(charges=(0.0, 1.0))
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_potential_energy()
    atoms.info["charge"] = -1
    with pytest.warns(UserWarning, match="trained on total charges 0, 1, not on -1"):
        atoms.get_potential_energy()


def test_unknown_compositions_are_warned_of() -> None:
    potential = potential_in(1.0, 0.529177)
    for known in ([], ["H2O"], [f"C{n}" for n in range(21)]):  # not told; as here; made for others
        potential.domain = TrainingDomain(compositions=tuple(known))
        atoms = distorted_water()
        atoms.calc = PotentialCalculator(potential)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            atoms.get_potential_energy()
    potential.domain = TrainingDomain(compositions=("H2O2", "HO"))
    atoms.calc = PotentialCalculator(potential)
    with pytest.warns(UserWarning, match="trained on H2O2, HO, not on H2O: predictions may mean nothing"):
        atoms.get_potential_energy()
    potential.domain = TrainingDomain(compositions=("H2O",))
    names = {"H2O", "CH4", "C2H6", "CH3OH", "NH3"}
    assert "not on C2H6, CH3OH, CH4 and 1 more: predictions" in unknown_compositions(potential.domain, names)


def test_distances_are_those_to_images(caplog: pytest.LogCaptureFixture) -> None:
    """Two atoms across a face of their cell, 1 Å apart, and one atom, 2 Å from its own images."""
    atoms = Atoms("OH", [[0.2, 0, 0], [7.2, 0, 0]], cell=[8.0, 9.0, 9.0], pbc=True)
    given = torch.tensor(atoms.positions), torch.tensor(atoms.numbers), torch.tensor([2])
    cells = torch.tensor(atoms.cell.array)[None], torch.tensor([[1, 1, 1]])
    distances = ShortestDistances({(1, 8): 1.25, (1, 1): 2.5})
    assert distances.add(*given, *cells) == pytest.approx(0.8)
    assert ShortestDistances({(1, 8): 1.25}).add(*given, cells[0], torch.tensor([[0, 1, 1]])) != pytest.approx(0.8)
    alone = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([1]), torch.tensor([1])
    assert distances.add(*alone, 2 * torch.eye(3, dtype=torch.float64)[None], cells[1]) == pytest.approx(0.8)
    distances.report("Look at them.")
    assert "H-O 1.000 Å (1.250 Å there)" in caplog.text
    assert "H-H 2.000 Å (2.500 Å there)" in caplog.text
