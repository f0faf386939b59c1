"""Small periodic systems that many tests share, of every kind: bulk, slab, wire, molecule, in cells of either hand."""

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from torch_geometric.data import Data


def some_crystals() -> list[Atoms]:
    """Return systems with atoms off their sites, some outside of their cell, in cells smaller than the cutoff."""
    rng = np.random.default_rng(5)
    systems = [
        bulk("Si") * (2, 1, 1),
        bulk("NaCl", "rocksalt", a=4.2),
        bulk("Cu"),
        fcc111("Al", (1, 2, 2), vacuum=4.0),
        Atoms("CO", [[0, 0, 0], [1.1, 0, 0.3]], cell=[[0, 9, 0], [3.0, 0.4, 0], [0, 0, 9]], pbc=[False, True, False]),
        Atoms(molecule("H2O").numbers, molecule("H2O").positions),
        Atoms("CH", [[0, 0, 0], [1.0, 0.5, 0.2]], cell=[[2.4, 0, 0], [-1.1, 2.2, 0.1], [0.4, 0.9, -3.1]], pbc=True),
    ]
    for number, atoms in enumerate(systems):
        atoms.info.clear()
        atoms.rattle(0.05, seed=number)
        if atoms.pbc.any():
            atoms.positions += (rng.integers(-2, 3, (len(atoms), 3)) * atoms.pbc) @ atoms.cell.array
    return systems


def periodic_data(atoms: Atoms, dtype: torch.dtype = torch.float64) -> Data:
    """Return a system without labels and without a list of pairs."""
    return Data(
        Ra=torch.tensor(atoms.positions),
        Za=torch.tensor(atoms.numbers),
        N=torch.tensor([len(atoms)]),
        Q=torch.zeros(1, dtype=dtype),
        cell=torch.tensor(atoms.cell.array)[None],
        pbc=torch.tensor(atoms.pbc.astype(int))[None],
        num_nodes=len(atoms),
    )


def labelled(atoms: Atoms) -> Atoms:
    """Return a copy with energy, forces and, if it is periodic in all directions, stress of a Lennard-Jones crystal."""
    found = atoms.copy()
    found.calc = LennardJones(sigma=2.0, epsilon=0.3, rc=5.0)
    names = ["energy", "forces", *(["stress"] if atoms.pbc.all() else [])]
    results = {name: found.calc.get_property(name, found) for name in names}
    found.calc = SinglePointCalculator(found, **results)
    return found
