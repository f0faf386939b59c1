"""Dynamics and optimisation in periodic cells, of hard atoms."""

from pathlib import Path

import ase.io
import morse
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from scipy.optimize import minimize_scalar
from simulations import last, rows, simulate

from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.simulation.trajectory import BondMonitor

OF_CRYSTAL = {"model": "morse_cells", "structure": "crystal.xyz"}
NPT = {"ensemble": "npt", "timestep": 1.0, "temperature": 300, "pressure": 1.0, "barostat_time": 200, "interval": 5}


def crystal(a: float = 3.45) -> Atoms:
    return bulk("Kr", "fcc", a=a)


@pytest.fixture
def cells(folder: Path) -> Path:
    morse.write_morse(folder / "morse_cells", "HardAtoms", "Stress")
    return folder


@pytest.mark.parametrize("pressure", [0.0, 5.0])
def test_the_cell_relaxes_to_the_minimum_of_the_enthalpy(cells: Path, pressure: float) -> None:
    calculator = PotentialCalculator(cells / "morse_cells")

    def enthalpy(a: float) -> float:
        atoms = crystal(a)
        atoms.calc = calculator
        return float(atoms.get_potential_energy() + pressure * units.GPa * atoms.get_volume())

    best = minimize_scalar(enthalpy, bounds=(3.0, 4.0), method="bounded", options={"xatol": 1e-8}).x
    strained = crystal(1.05 * best)
    strained.set_cell(strained.cell @ np.array([[1.02, 0.01, 0], [0, 0.98, 0], [0, 0, 1]]), scale_atoms=True)
    ase.io.write("crystal.xyz", strained)
    options = {"cell": True, "pressure": pressure, "fmax": 1e-4}
    assert simulate("out", **OF_CRYSTAL, optimization=options) == 0
    found = ase.io.read("out/optimized.xyz")
    np.testing.assert_allclose(found.get_volume(), crystal(best).get_volume(), rtol=1e-5)
    np.testing.assert_allclose(rows()["pressure_GPa"][-1], pressure, atol=0.01)


def test_energy_is_conserved_in_a_cell(cells: Path) -> None:
    ase.io.write("crystal.xyz", crystal() * (3, 3, 3))
    options = {"ensemble": "nve", "timestep": 1.0, "temperature": 300, "steps": 100, "interval": 10}
    assert simulate("out", **OF_CRYSTAL, dynamics=options) == 0
    energies, volumes = rows()["total_eV"], rows()["volume_A3"]
    # of the kinetic energy, some hundredths of an eV an atom
    assert np.ptp(energies) < 0.01 * rows()["kinetic_eV"].mean()
    assert np.ptp(rows()["potential_eV"]) > 20 * np.ptp(energies)
    assert np.ptp(volumes) == 0
    assert np.abs(last().get_momenta().sum(axis=0)).max() < 1e-6  # of 8 decimals


def test_constant_pressure_goes_on_with_the_same_bits(cells: Path) -> None:
    ase.io.write("crystal.xyz", crystal() * (2, 2, 2))
    assert simulate("whole", **OF_CRYSTAL, dynamics={**NPT, "steps": 40}) == 0
    assert simulate("parts", **OF_CRYSTAL, dynamics={**NPT, "steps": 20}) == 0
    assert simulate("parts", "--resume", **OF_CRYSTAL, dynamics={**NPT, "steps": 40}) == 0
    for name in ("trajectory.xyz", "log.csv"):
        assert Path("whole", name).read_bytes() == Path("parts", name).read_bytes()
    assert np.ptp(rows("whole")["volume_A3"]) > 1e-3


@pytest.mark.parametrize("hydrostatic", [True, False])
def test_constant_pressure_has_the_pressure(cells: Path, hydrostatic: bool) -> None:
    """Compressed at first, by many times that pressure."""
    ase.io.write("crystal.xyz", crystal(3.2) * (2, 2, 2))
    options = {**NPT, "hydrostatic": hydrostatic, "steps": 400, "barostat_time": 100, "friction": 0.05}
    assert simulate("out", **OF_CRYSTAL, dynamics=options) == 0
    pressure = rows()["pressure_GPa"]
    late = pressure[len(pressure) // 3 :]
    assert pressure[0] > 10
    assert abs(late.mean() - 1.0) < 3 * late.std() / np.sqrt(len(late) / 10)
    shape = last().cell.angles()
    assert (np.abs(shape - 60).max() < 1e-6) == hydrostatic


def two_atoms(symbols: str, distance: float, cell: float | None) -> Atoms:
    """Return two atoms, of which a face of their cell is half-way between, if they have one."""
    atoms = Atoms(symbols, [[0.0, 0, 0], [0.0, 0, distance]])
    if cell is not None:
        atoms.set_cell(np.eye(3) * cell)
        atoms.pbc = True
        atoms.positions[:, 2] -= distance / 2
        atoms.wrap()
    return atoms


@pytest.mark.parametrize("cell", [None, 12.0], ids=["molecule", "cell"])
@pytest.mark.parametrize("distances", [(1.2, 3.9), (3.9, 1.2)], ids=["breaks", "forms"])
@pytest.mark.parametrize(
    ("symbols", "of_molecule", "of_cell"),
    [("CO", True, True), ("SiH", True, True), ("FeC", True, False), ("NaCl", True, False), ("Cu2", False, False)],
)
def test_which_bonds_are_watched(
    symbols: str,
    of_molecule: bool,
    of_cell: bool,
    distances: tuple[float, float],
    cell: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, after = [0.8 * d if symbols[0] == "C" else 1.2 * d for d in distances]
    monitor = BondMonitor(two_atoms(symbols, before, cell))
    monitor.check(two_atoms(symbols, before, cell), 0)
    assert not caplog.records
    monitor.check(two_atoms(symbols, after, cell), 1)
    expected = of_molecule if cell is None else of_cell
    assert monitor.watches == monitor.warned == expected
    assert (f"are {after:.2f} Å apart" in caplog.text) == expected
