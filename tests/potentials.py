"""Untrained potentials of the toy configuration."""

import numpy as np
from ase import Atoms
from ase.build import molecule
from toy import toy_config

from pyg_nnp import units
from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.potential import Potential

BOHR, HARTREE = units.BOHR_IN_ANGSTROM, units.HARTREE_IN_EV


def potential_in(Hartree_in_E: float, Bohr_in_R: float, dtype: str = "float64") -> Potential:
    config = toy_config(Trainer__dtype=dtype)
    options = config["Modelhub"]["FF01"]["build_params"]
    options |= {"Hartree_in_E": Hartree_in_E, "Bohr_in_R": Bohr_in_R, "cutoff_sr": 4.0 / BOHR * Bohr_in_R}
    return build_potential(config_from_dict(config), "FF01").eval()


def distorted_water(scale: float = 0.0) -> Atoms:
    atoms = molecule("H2O")
    atoms.positions += np.random.default_rng(1).normal(scale=scale, size=(3, 3))
    return atoms
