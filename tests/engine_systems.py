"""Structures and potentials that each simulation engine has to agree on with ASE's calculator."""

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from molecules import BUILD_PARAMS, LAYER_ENTRIES, make_potential

from pyg_nnp.potential.potential import Potential

OF_MOLECULES = ("ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy")


def of_molecules() -> Potential:
    """Return an untrained potential in Hartree and Å that reads the total charge."""
    return _with_units(make_potential())


def of_crystals() -> Potential:
    """Return an untrained potential in Hartree and Å with stress."""
    entries = [entry for entry in LAYER_ENTRIES if entry[0] not in OF_MOLECULES]
    return _with_units(make_potential([*entries, ("Stress", {})]))


def _with_units(potential: Potential) -> Potential:
    potential.spec["build_params"] = BUILD_PARAMS
    return potential.eval()


def some_of_both() -> tuple[list[Atoms], list[Atoms]]:
    """Return ten distorted molecules, and ten crystals whose cells are no boxes."""
    molecules = [molecule(name) for name in ("H2O", "CH4", "NH3", "CH3OH", "C2H6") * 2]
    crystals = [bulk(name, cubic=number > 2) for number, name in enumerate(("Si", "Cu", "Al", "Fe", "C") * 2)]
    for number, atoms in enumerate([*molecules, *crystals]):
        atoms.info.clear()
        atoms.set_initial_magnetic_moments(None)
        atoms.rattle(0.05, seed=number)
        if atoms.pbc.any():
            strain = np.eye(3) + 0.03 * np.random.default_rng(number).normal(size=(3, 3))
            atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
    return molecules, crystals
