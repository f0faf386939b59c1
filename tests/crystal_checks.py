"""What holds for energies, forces and stress of every potential, in cells of every kind."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from ase import Atoms
from ase.build import make_supercell
from crystals import periodic_data
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.potential.potential import Potential

STEPS = {2: -1 / 12, 1: 2 / 3, -1: -2 / 3, -2: 1 / 12}  # fourth-order central differences


def energies(potential: Potential, systems: Sequence[Atoms]) -> Tensor:
    return potential(Batch.from_data_list([periodic_data(atoms) for atoms in systems]))["E"]


def check_descriptions(potential: Potential, systems: Sequence[Atoms]) -> None:
    """Check that energies are those of turned cells, moved atoms, other lattice vectors and supercells."""
    rng, turn = np.random.default_rng(0), Rotation.random(rng=1).as_matrix()
    for atoms in systems:
        if not atoms.pbc.any():
            continue
        turned = atoms.copy()
        turned.set_cell(atoms.cell @ turn.T)
        turned.positions = atoms.positions @ turn.T
        moved = atoms.copy()
        moved.positions += (rng.integers(-3, 4, (len(atoms), 3)) * atoms.pbc) @ atoms.cell.array + [0.1, 5.0, -2.0]
        wrapped = atoms.copy()
        wrapped.wrap()
        others = [turned, moved, wrapped]
        if atoms.pbc.all():
            others.append(make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [2, -1, 1]], wrap=False))
        supercell = atoms * np.where(atoms.pbc, 2, 1)
        E, *of_others, of_supercell = energies(potential, [atoms, *others, supercell]).tolist()
        assert abs(E) > 1e-3
        np.testing.assert_allclose(of_others, E, rtol=1e-10)
        np.testing.assert_allclose(of_supercell, E * len(supercell) / len(atoms), rtol=1e-10)


def check_derivatives(potential: Potential, systems: Sequence[Atoms], size: float = 2e-4) -> None:
    """Check forces and all six components of the stress against central differences of steps of a size."""
    predicted = potential(Batch.from_data_list([periodic_data(atoms) for atoms in systems]))
    first = 0
    for number, atoms in enumerate(systems):
        forces = predicted["Fa"][first : first + len(atoms)]
        first += len(atoms)
        numeric = -_derivative(potential, atoms, list(product(range(len(atoms)), range(3))), _moved, size)
        scale = float(predicted["Fa"].abs().max())
        assert float((forces.flatten() - numeric).abs().max()) < 1e-6 * scale
        stress = predicted["S"][number]
        if atoms.cell.rank != 3:
            assert not stress.any()
            continue
        strains = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
        numeric = _derivative(potential, atoms, strains, _strained, size) / atoms.get_volume()
        assert float((stress - numeric).abs().max()) < 1e-6 * float(stress.abs().max())


def _derivative(
    potential: Potential,
    atoms: Atoms,
    by: list[tuple[int, int]],
    change: Callable[[Atoms, tuple[int, int], float], Atoms],
    size: float,
) -> Tensor:
    changed = [change(atoms, what, step * size) for what, step in product(by, STEPS)]
    return energies(potential, changed).view(len(by), len(STEPS)) @ torch.tensor([*STEPS.values()]).double() / size


def _moved(atoms: Atoms, what: tuple[int, int], by: float) -> Atoms:
    changed = atoms.copy()
    changed.positions[what] += by
    return changed


def _strained(atoms: Atoms, what: tuple[int, int], by: float) -> Atoms:
    strain = np.eye(3)
    strain[what] += by / 2
    strain[what[::-1]] += by / 2
    changed = atoms.copy()
    changed.set_cell(atoms.cell @ strain)
    changed.positions = atoms.positions @ strain
    return changed
