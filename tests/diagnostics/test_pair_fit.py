"""A pair potential fitted to one: its stress is that of the other."""

from dataclasses import replace

import numpy as np
from ase.build import bulk
from ase.calculators.lj import LennardJones
from crystal_sets import strained_crystals

from pyg_nnp.diagnostics.pair_fit import Crystal, _linear, fit_pairs


def crystals(name: str) -> list[Crystal]:
    return [
        Crystal(a.positions, a.numbers, a.cell.array, a.pbc, a.get_potential_energy(), a.get_forces(), a.get_stress())
        for a in strained_crystals(name)
    ]


def test_stress_of_a_fitted_pair_potential() -> None:
    given = crystals("Lennard-Jones")
    fit = fit_pairs(given, 6.0)
    assert fit.unexplained < 5e-3
    volumes = np.array([abs(np.linalg.det(crystal.cell)) for crystal in given])
    expected = np.stack([crystal.S for crystal in given])
    np.testing.assert_allclose(fit.by_strain / volumes[:, None], expected, atol=0.05 * abs(expected).max())


def test_forces_and_derivatives_by_strain_are_those_of_the_energy() -> None:
    given, elements, step = crystals("alloy")[0], np.array([13, 28]), 1e-5
    _, forces, by_strain = _linear(given, elements, 5.0)
    moved, strained = [], []
    for sign in (1, -1):
        Ra = given.Ra.copy()
        Ra[3, 1] += sign * step
        moved.append(_linear(replace(given, Ra=Ra), elements, 5.0)[0])
        strain = np.eye(3) + sign * step * np.array([[1, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])
        strained.append(_linear(replace(given, Ra=given.Ra @ strain, cell=given.cell @ strain), elements, 5.0)[0])
    scale = abs(forces).max()
    np.testing.assert_allclose(forces[3, 1], (moved[1] - moved[0]) / (2 * step), atol=1e-6 * scale)
    expected = (strained[0] - strained[1]) / (2 * step)
    np.testing.assert_allclose(by_strain[0] + by_strain[5], expected, atol=1e-6 * abs(expected).max())


def test_too_few_numbers_are_not_fitted() -> None:
    given = crystals("alloy")
    assert fit_pairs(given[:1], 5.0) is None
    atoms = bulk("Cu")
    atoms.calc = LennardJones(sigma=2.27, epsilon=0.4, rc=6.0)
    one = Crystal(
        atoms.positions,
        atoms.numbers,
        atoms.cell.array,
        atoms.pbc,
        atoms.get_potential_energy(),
        np.zeros((1, 3)),
        np.zeros(6),
    )
    # all the same: there is nothing to explain
    assert fit_pairs([one] * 40, 5.0) is None
