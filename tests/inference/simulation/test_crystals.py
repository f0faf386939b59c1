"""Equation of state and phonons of hard atoms, beside what follows from their pair potential."""

import json
import re
from pathlib import Path

import ase.io
import morse
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.constraints import FixAtoms
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from simulations import rows, simulate

OF_CRYSTAL = {"model": "morse_cells", "structure": "crystal.xyz", "dtype": "float64"}
REACH, HARTREE = 4.5, 27.211386245981


@pytest.fixture
def cells(folder: Path) -> Path:
    morse.write_morse(folder / "morse_cells", "HardAtoms", "Stress")
    return folder


def energy(r: NDArray) -> NDArray:
    sixth = (2.2 / r) ** 6
    return 0.01 * HARTREE * (sixth**2 - sixth) * np.clip(1 - (r / REACH) ** 2, 0, None) ** 3


def neighbors(a: float) -> NDArray:
    """Return the lattice vectors of a face-centred cubic crystal within reach."""
    n = np.array(np.meshgrid(*[np.arange(-4, 5)] * 3)).reshape(3, -1).T
    R = n[n.any(axis=1)] @ bulk("Kr", "fcc", a=a).cell.array
    return R[np.linalg.norm(R, axis=1) < REACH]


def energy_of(a: float) -> float:
    return float(0.5 * energy(np.linalg.norm(neighbors(a), axis=1)).sum())


def best() -> float:
    return float(minimize_scalar(energy_of, bounds=(3.0, 4.0), method="bounded", options={"xatol": 1e-9}).x)


def test_equation_of_state(cells: Path) -> None:
    a = best()
    ase.io.write("crystal.xyz", bulk("Kr", "fcc", a=1.003 * a))
    options = {"range": 0.02, "points": 7}
    assert simulate("out", **OF_CRYSTAL, equation_of_state=options) == 0
    found = json.loads(Path("out/equation_of_state.json").read_text())
    h = 1e-3 * a
    by_a = (energy_of(a + h) - 2 * energy_of(a) + energy_of(a - h)) / h**2
    bulk_modulus = by_a * 4 / (9 * a) / units.GPa  # V E''(V) with V = a^3 / 4
    assert found["volume_A3"] == pytest.approx(a**3 / 4, rel=2e-4)
    assert found["energy_eV"] == pytest.approx(energy_of(a), rel=1e-5)
    assert found["bulk_modulus_GPa"] == pytest.approx(bulk_modulus, rel=0.01)
    volumes = (1.003 * a) ** 3 / 4 * np.linspace(0.98, 1.02, 7)
    np.testing.assert_allclose(rows()["volume_A3"], volumes, rtol=1e-7)
    np.testing.assert_allclose(rows()["energy_eV"], [energy_of((4 * V) ** (1 / 3)) for V in volumes], rtol=1e-6)


def test_atoms_relax_at_each_volume(cells: Path) -> None:
    crystal = bulk("Kr", "fcc", a=best()) * (2, 1, 1)
    crystal.rattle(0.05, seed=1)
    ase.io.write("crystal.xyz", crystal)
    options = {"range": 0.01, "points": 5, "relaxed": True, "fmax": 0.001}
    assert simulate("out", **OF_CRYSTAL, equation_of_state=options) == 0
    found = json.loads(Path("out/equation_of_state.json").read_text())
    assert found["volume_A3"] == pytest.approx(best() ** 3 / 2, rel=1e-3)
    assert rows()["largest_force_eV_per_A"].max() < 0.001
    assert set(rows()["converged"]) == {1}


def frequencies(q: NDArray, a: float) -> NDArray:
    """Return the frequencies [1/cm] at wave vectors q, (Q, 3), in units of those of the reciprocal lattice."""
    R = neighbors(a)
    r = np.linalg.norm(R, axis=1)
    h = 1e-4
    slope, curvature = (energy(r + h) - energy(r - h)) / (2 * h), (energy(r + h) - 2 * energy(r) + energy(r - h)) / h**2
    u = R / r[:, None]
    along = u[:, :, None] * u[:, None, :]
    of_pairs = curvature[:, None, None] * along + (slope / r)[:, None, None] * (np.eye(3) - along)
    k = 2 * np.pi * q @ np.linalg.inv(bulk("Kr", "fcc", a=a).cell.array).T
    D = np.einsum("qr,rij->qij", 1 - np.cos(k @ R.T), of_pairs) / bulk("Kr").get_masses()[0]
    squares = np.linalg.eigvalsh(D)
    # from sqrt(eV / amu) / Å to eV to 1/cm
    return np.sign(squares) * np.sqrt(abs(squares)) * units._hbar * 1e10 / np.sqrt(units._e * units._amu) * 8065.54394


def test_phonons(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = best()
    ase.io.write("crystal.xyz", bulk("Kr", "fcc", a=a))
    options = {"supercell": [5, 5, 5], "path": "GXWKGL", "points": 40, "displacement": 0.002}
    assert simulate("out", **OF_CRYSTAL, phonons=options) == 0
    q = np.stack([rows()[name] for name in ("q1", "q2", "q3")], axis=1)
    found = np.stack([rows()[f"mode_{number}_per_cm"] for number in range(3)], axis=1)
    assert found.shape == (40, 3)
    np.testing.assert_allclose(found, frequencies(q, a), atol=2e-3 * found.max())
    assert rows()["distance_per_A"][0] == 0
    assert (np.diff(rows()["distance_per_A"]) > 0).all()
    err = capsys.readouterr().err
    assert "WARNING" not in err.replace("Warnings", "")
    assert not list(cells.glob("**/cache*.json"))


@pytest.mark.parametrize("number", [1, 5])
def test_narrow_supercells_are_told(number: int, cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one cell each atom moves with its images, and there is no force at all."""
    ase.io.write("crystal.xyz", bulk("Kr", "fcc", a=best()))
    assert simulate("out", **OF_CRYSTAL, phonons={"supercell": [5, 5, number], "points": 5}) == 0
    wide = re.findall(r"phonons.supercell: \[5, 5, 1\] is ([\d.]+) Å wide", capsys.readouterr().err)
    assert wide == ([f"{best() / 3**0.5:.1f}"] if number == 1 else [])


def test_a_stretched_crystal_has_imaginary_frequencies(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crystal = Atoms("Kr", cell=np.diag([2.9, 2.9, 2.9]), pbc=True)  # simple cubic is not stable
    ase.io.write("crystal.xyz", crystal)
    assert simulate("out", **OF_CRYSTAL, phonons={"supercell": [4, 4, 4], "points": 12}) == 0
    assert "frequencies are imaginary, written as negative" in capsys.readouterr().err
    assert min(rows()[f"mode_{number}_per_cm"].min() for number in range(3)) < -5


MISTAKES = [
    ({"equation_of_state": {}, "structure": "water.xyz"}, "equation_of_state: needs a crystal"),
    ({"phonons": {}, "structure": "water.xyz"}, "phonons: needs a crystal"),
    (
        {"equation_of_state": {"range": 0.01}},
        "equation_of_state: the energy is lowest at an end, .*Relax the structure",
    ),
    ({"phonons": {"path": "GQ"}}, "phonons.path: 'GQ' is none in this lattice. It has: G, K, L, U, W, X"),
    ({"phonons": {"supercell": [2, 2]}}, r"phonons.supercell: expects three numbers of cells, such as \[2, 2, 2\]"),
    ({"phonons": {}, "structure": "fixed.xyz"}, "phonons: atoms do not move where constraints hold"),
]


@pytest.mark.parametrize(("document", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes(cells: Path, capsys: pytest.CaptureFixture[str], document: dict, message: str) -> None:
    crystal = bulk("Kr", "fcc", a=1.1 * best())
    ase.io.write("crystal.xyz", crystal)
    crystal.set_constraint(FixAtoms([0]))
    ase.io.write("fixed.xyz", crystal)
    assert simulate("out", **{**OF_CRYSTAL, **document}) == 2
    assert re.search(message, capsys.readouterr().err)
