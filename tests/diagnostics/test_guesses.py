"""Units that init writes: stated before meant by the format, and both before guessed."""

from pathlib import Path
from typing import Any

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from small_set import FRAMES

from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

# of total energies [Hartree] and positions [Å], which energies and bonds tell
SOME = FRAMES[:40]
ANGSTROM, EV, KCAL = BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL


def frames(energy: float = 1.0, length: float = 1.0, **info: Any) -> list[Atoms]:
    """Return frames of ASE whose numbers are in other units than Hartree and Å."""
    found = []
    for one in SOME:
        atoms = Atoms(one["Za"], one["Ra"] * length, info=info)
        results = {"energy": float(one["E"]) * energy, "forces": one["Fa"] * energy / length}
        atoms.calc = SinglePointCalculator(atoms, **results)
        found.append(atoms)
    return found


def written(path: Path) -> tuple[float, float, str, list[str]]:
    """Return one Hartree and one Bohr in what init writes, the whole file, and what it prints."""
    text, guesses = first_config(path, {})
    params = yaml.safe_load(text)["Modelhub"]["FF01"]["build_params"]
    return params["Hartree_in_E"], params["Bohr_in_R"], text, guesses


def xyz(folder: Path, *units: float, **info: Any) -> Path:
    ase.io.write(folder / "some.xyz", frames(*units, **info))
    return folder / "some.xyz"


def test_extended_xyz_is_in_units_of_ase(tmp_path: Path) -> None:
    hartree, bohr, text, guesses = written(xyz(tmp_path, EV))
    assert (hartree, bohr) == (pytest.approx(EV), pytest.approx(ANGSTROM))
    assert "energies are in eV, as ASE has it." in text
    assert "energies are in eV, as ASE has it" in guesses
    assert "which would be" not in text


def test_extended_xyz_that_looks_like_other_units(tmp_path: Path) -> None:
    """Bonds and energies against ASE are a warning, and the unit of ASE stays."""
    hartree, bohr, text, guesses = written(xyz(tmp_path, 1.0, 1 / ANGSTROM))
    assert (hartree, bohr) == (pytest.approx(EV), pytest.approx(ANGSTROM))
    assert "energies are in eV, as ASE has it. CHECK: the energies look like Hartree, which would be 1\n" in text
    assert "positions are in Å, as ASE has it. CHECK: the bonds look like Bohr, which would be 1\n" in text
    assert "positions are in Å, as ASE has it: the bonds look like Bohr, which would be 1" in guesses


@pytest.mark.parametrize(
    ("info", "units"),
    [
        ({"energy_unit": "Hartree"}, (1.0, 1.0)),
        ({"units": "kcal/mol, Bohr"}, (KCAL, 1 / ANGSTROM)),
        ({"units": {"energy": "kJ/mol", "positions": "nm"}}, (KCAL * 4.184, 0.1)),
    ],
)
def test_extended_xyz_that_says_its_units(tmp_path: Path, info: dict[str, Any], units: tuple[float, float]) -> None:
    hartree, bohr, text, _ = written(xyz(tmp_path, *units, **info))
    assert (hartree, bohr) == (pytest.approx(units[0]), pytest.approx(ANGSTROM * units[1]))
    assert "which would be" not in text


def database(folder: Path, metadata: dict[str, Any], *units: float) -> Path:
    with ase.db.connect(folder / "some.db") as rows:
        for atoms in frames(*units):
            data = {
                "energy_U0": np.array([atoms.get_potential_energy()]),
                "forces": atoms.get_forces(),
                "dipole": np.ones(3),
            }
            rows.write(Atoms(atoms.numbers, atoms.positions), data=data)
        rows.metadata = metadata
    return folder / "some.db"


@pytest.mark.parametrize(("energy", "value"), [("eV", EV), ("Hartree", 1.0), ("kcal/mol", KCAL)])
def test_databases_of_schnetpack(tmp_path: Path, energy: str, value: float) -> None:
    """Valence energies alone do not tell their unit."""
    metadata = {"_property_unit_dict": {"energy_U0": energy, "forces": f"{energy}/Ang"}, "_distance_unit": "Ang"}
    path = database(tmp_path, metadata, value * 0.02)
    text, _ = first_config(path, {"E": "energy_U0"})
    params = yaml.safe_load(text)["Modelhub"]["FF01"]["build_params"]
    assert (params["Hartree_in_E"], params["Bohr_in_R"]) == (pytest.approx(value), pytest.approx(ANGSTROM))


def test_hdf5_with_attributes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "some.h5", "w") as file:
        for number, one in enumerate(SOME):
            group = file.create_group(f"{number}")
            group["coord"], group["numbers"], group["energy"] = one["Ra"] / ANGSTROM, one["Za"], one["E"] * KCAL
            for name, unit in (("coord", "bohr"), ("energy", "kcal/mol")):
                group[name].attrs["units"] = unit
    hartree, bohr, text, _ = written(tmp_path / "some.h5")
    assert (hartree, bohr) == (pytest.approx(KCAL), 1)
    assert "energies are in kcal/mol, as attribute 'units' of 'energy' says." in text


def arrays(folder: Path, **texts: Any) -> Path:
    sizes = [len(one["Za"]) for one in SOME]
    content = {"N": np.array(sizes), "R": np.concatenate([one["Ra"] for one in SOME])}
    content |= {"z": np.concatenate([one["Za"] for one in SOME]), "E": np.array([one["E"] for one in SOME])}
    np.savez(folder / "some.npz", **content, **texts)
    return folder / "some.npz"


def test_npz_that_contradicts_itself(tmp_path: Path) -> None:
    """What it says wins, and what bonds and energies say is a mark to look at."""
    hartree, bohr, text, _ = written(arrays(tmp_path, e_unit="eV", r_unit=b"Bohr"))
    assert (hartree, bohr) == (pytest.approx(EV), 1)
    assert "CHECK: the energies look like Hartree, which would be 1\n" in text
    assert "CHECK: the bonds look like Å, which would be 0.529177211\n" in text


def test_texts_of_units_are_no_arrays_that_nothing_reads(tmp_path: Path) -> None:
    *_, text, guesses = written(arrays(tmp_path, e_unit="Hartree", theory="PBE"))
    assert "not used: theory" in guesses
    assert "not used: theory\n" in text


def test_what_is_not_understood_is_told(tmp_path: Path) -> None:
    hartree, *_, guesses = written(arrays(tmp_path, e_unit="eV/atom"))
    assert hartree == 1
    assert "Warning: 'e_unit' says 'eV/atom' for total energy, which is no known unit" in guesses
