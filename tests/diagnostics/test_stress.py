"""Mistakes of stress and cells, planted in three data sets, are told, and nothing is where there is none."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from crystal_sets import NAMES, Change, said, strained_crystals, stress, warnings

from pyg_nnp.diagnostics.pair_fit import Crystal, PairFit
from pyg_nnp.diagnostics.stress import _of_stress
from pyg_nnp.units import Units

EV_PER_CUBIC_ANGSTROM_IN_GPA = 160.2176634


def virial(atoms: Atoms) -> np.ndarray:
    return -stress(atoms) * atoms.get_volume()


@pytest.mark.parametrize("name", NAMES)
def test_right_data_are_fine(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(strained_crystals(name), tmp_path, capsys)
    assert warnings(text) == []
    assert "fine: it is" in text or "fine: between near frames" in text


def test_soft_crystals_may_have_small_forces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, frames = np.random.default_rng(5), []
    for _ in range(40):
        atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 1, 1)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.08, size=(8, 3))
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.5)
        frames.append(atoms)
    assert np.abs(frames[0].get_forces()).max() < 0.1
    assert warnings(said(frames, tmp_path, capsys)) == []


@pytest.mark.parametrize("seed", [7, 10, 11])
def test_energies_of_strain_are_no_unit_of_forces(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Near frames differ in their cells as well, by a part of the energy that is no work of the forces."""
    rng, frames = np.random.default_rng(seed), []
    for _ in range(36):
        atoms = bulk("Mg", "fcc", a=4.4) * (2, 2, 2)
        strain = np.eye(3) * (1 + rng.normal(scale=0.01)) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.positions += rng.normal(scale=0.08, size=(8, 3))
        atoms.calc = LennardJones(sigma=3.0, epsilon=0.3, rc=6.6)
        frames.append(atoms)
    assert not any("(Fa)" in warning for warning in warnings(said(frames, tmp_path, capsys)))


PLANTED: dict[str, tuple[dict[str, Change | str], str]] = {
    "virial": ({"of_stress": virial}, r"(S) looks like virials, not stress: "),
    "virial, sign": (
        {"of_stress": lambda atoms: -virial(atoms)},
        "(S) looks like virials, not stress of the opposite sign",
    ),
    "sign": ({"of_stress": lambda atoms: -stress(atoms)}, "(S) looks like stress of the opposite sign"),
    "kbar": (
        {"of_stress": lambda atoms: 10 * EV_PER_CUBIC_ANGSTROM_IN_GPA * stress(atoms)},
        "(S) looks like stress in kbar",
    ),
    "GPa": ({"of_stress": lambda atoms: EV_PER_CUBIC_ANGSTROM_IN_GPA * stress(atoms)}, "(S) looks like stress in GPa"),
    "named virial": ({"name": "virial_dft"}, "(S) looks like stress, not virials: "),
    "transposed": (
        {"of_cell": lambda atoms: atoms.cell.array.T},
        "(cell) looks as if the lattice vectors are its columns",
    ),
    "Bohr": ({"of_cell": lambda atoms: atoms.cell.array / 0.529177}, "(cell) looks as if it is in Bohr"),
}


@pytest.mark.parametrize("mistake", PLANTED)
@pytest.mark.parametrize("name", NAMES)
def test_mistakes_are_told(name: str, mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, expected = PLANTED[mistake]
    text = said(strained_crystals(name), tmp_path, capsys, **given)
    (warning,) = warnings(text)
    assert expected in warning
    # nothing else is offered beside the right one
    # with volumes of some 170 Å³ the last may be GPa, too
    assert "; or " not in warning or mistake == "virial, sign"


@pytest.mark.parametrize(("strain", "is_told"), [(3e-5, False), (1e-3, True), (4e-3, True)])
def test_nearly_symmetric_cells_that_are_transposed(
    strain: float, is_told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A turn of the lattice by a thousandth is told, and what makes no difference to energies and forces is not."""
    rng, frames = np.random.default_rng(1), []
    for _ in range(40):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=strain, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.03, size=(8, 3))
        atoms.calc = EMT()
        frames.append(atoms)
    assert warnings(said(frames, tmp_path, capsys)) == []
    folder = tmp_path / "transposed"
    folder.mkdir()
    found = warnings(said(frames, folder, capsys, of_cell=lambda atoms: atoms.cell.array.T))
    assert ["(cell) looks as if the lattice vectors are its columns" in line for line in found] == [True] * is_told


def judged(cells: np.ndarray, S: np.ndarray, of_fit: np.ndarray) -> str:
    """Return what is said of (G, 6) stress in (G, 3, 3) cells where a fit has other stress."""
    atoms = np.zeros((1, 3)), np.array([29])
    crystals = [
        Crystal(*atoms, cell, np.ones(3, bool), 0.0, np.zeros((1, 3)), s) for cell, s in zip(cells, S, strict=True)
    ]
    source: Any = SimpleNamespace(names={"S": "stress"}, message=lambda *parts: " ".join(map(str, parts)))
    fit = PairFit(0.01, of_fit * np.linalg.det(cells)[:, None])
    return _of_stress(source, crystals, fit, Units(27.211386, 0.529177)).summary


def test_a_fit_in_cells_of_one_size_knows_no_stress() -> None:
    S = np.random.default_rng(0).normal(size=(30, 6))
    cells = np.tile(3 * np.eye(3), (30, 1, 1))
    assert judged(cells, S, 7 * S).startswith("not judged")
    assert judged(cells * np.linspace(0.97, 1.03, 30)[:, None, None], S, 7 * S).startswith("it is 0.143 times")


def test_stress_that_is_0_by_symmetry_is_left_out() -> None:
    rng = np.random.default_rng(0)
    S, of_fit = 1e-17 * rng.normal(size=(2, 30, 6))
    S[:, :2] = of_fit[:, :2] = np.linspace(-1, 1, 30)[:, None]
    cells = 3 * np.eye(3) * np.linspace(0.97, 1.03, 30)[:, None, None]
    assert judged(cells, S, of_fit).startswith("fine: it is 1 times")


def walk(symbols: str, steps: int) -> list[Atoms]:
    """Return near frames of a crystal with so many elements that no pair potential is fitted."""
    rng, frames = np.random.default_rng(3), []
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.symbols = symbols
    for _ in range(steps):
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.005, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.01, size=(8, 3))
        frames.append(atoms.copy())
        frames[-1].calc = EMT()
        # moved by a lattice vector: the same place
        atoms.positions[rng.integers(8)] += atoms.cell[rng.integers(3)]
    return frames


def test_near_frames_tell_it_where_nothing_is_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = walk("CuAgAuNiPdPtAlCu", 40)
    text = said(frames, tmp_path, capsys)
    assert "fine: between near frames V σ:Δε is" in text
    # all that is left is the square of the steps
    (slope,) = re.findall(r"V σ:Δε is ([\d.]+)", text)
    assert float(slope) == pytest.approx(1.0, abs=0.01)
    assert not any("(S)" in warning for warning in warnings(text))
    for given, expected in (PLANTED["sign"], PLANTED["kbar"], PLANTED["virial"]):
        folder = tmp_path / expected[-4:]
        folder.mkdir()
        found = [line for line in warnings(said(frames, folder, capsys, **given)) if "(S)" in line]
        assert len(found) == 1
        assert expected in found[0]
        assert "between near frames" in found[0]


def test_slabs_and_few_frames_are_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slab = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    frames = []
    for seed in range(6):
        frames.append(slab.copy())
        frames[-1].rattle(0.05, seed=seed)
        frames[-1].calc = EMT()
    text = said(frames, tmp_path, capsys)
    assert "pair potential" not in text
    assert not any("(S)" in warning or "(cell)" in warning for warning in warnings(text))
    (tmp_path / "few").mkdir()
    text = said(strained_crystals("copper")[:3], tmp_path / "few", capsys, of_stress=virial)
    assert not any("(cell)" in warning for warning in warnings(text))
