import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii

from pyg_nnp.functional.bonds import bonds


def test_bonds_are_those_of_the_whole_molecule_where_a_face_cuts_it() -> None:
    water = molecule("H2O")
    water.set_cell(np.diag([6.0, 7.0, 8.0]))
    whole = {frozenset(pair) for pair in bonds(water.positions, water.numbers).tolist()}
    assert whole == {frozenset((0, 1)), frozenset((0, 2))}
    water.pbc = True
    water.translate([0.1, 0.3, -0.05])
    water.wrap()
    found = bonds(water.positions, water.numbers, cells=(water.cell.array, water.pbc))
    assert {frozenset(pair) for pair in found.tolist()} == whole
    assert len(bonds(water.positions, water.numbers)) < 2
    assert len(bonds(water.positions, water.numbers, cells=(water.cell.array, np.array([True, False, False])))) < 2


def test_a_factor_is_of_the_sum_of_radii() -> None:
    two = Atoms("CO", [[0, 0, 0], [0, 0, 1.25 * (covalent_radii[6] + covalent_radii[8]) - 1e-6]])
    assert bonds(two.positions, two.numbers).shape == (1, 2)
    assert bonds(two.positions, two.numbers, 1.24).shape == (0, 2)
    carbon = bulk("C")
    assert len(bonds(carbon.positions, carbon.numbers, cells=(carbon.cell.array, carbon.pbc))) == 4
