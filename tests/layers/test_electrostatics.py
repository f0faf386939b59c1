"""Coulomb energies against formulas worked out by hand."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_nnp.functional.coulomb import damped_coulomb, shifted_force
from pyg_nnp.layers import ElectrostaticEnergy


def coulomb_by_hand(q: np.ndarray, R: np.ndarray, cutoff: float, bohr: float, flavor: str) -> float:
    """Sum over pairs, with formulas as in the papers."""
    shield, energy = bohr / 0.529177210544, 0.0
    for i in range(len(q)):
        for j in range(i):
            r = float(np.linalg.norm(R[i] - R[j]))
            if flavor == "PhysNet":
                x = 2 * r / cutoff
                f = 1 - 6 * x**5 + 15 * x**4 - 10 * x**3 if x < 1 else 0.0
            else:
                x = (r - cutoff / 4) / (cutoff / 2)
                f = 1.0 if x <= 0 else 0.0 if x >= 1 else None
                if f is None:
                    up, down = math.exp(-1 / x), math.exp(-1 / (1 - x))
                    f = down / (down + up)
            energy += q[i] * q[j] * (f / math.sqrt(r**2 + shield**2) + (1 - f) / r)
    return energy


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
@pytest.mark.parametrize("bohr", [0.529177210544, 1.0])
def test_electrostatic_energy_by_hand(molecules: list[Data], flavor: str, bohr: float) -> None:
    data = molecules[0]
    R = data.Ra * bohr / 0.529177210544
    Qa = torch.randn(len(R), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = ElectrostaticEnergy(4.0, Hartree_in_E=27.2, Bohr_in_R=bohr, flavor=flavor, dielectric_constant=2.0)
    written = layer(Qa=Qa, Ra=R, N=data.N, batch=torch.zeros_like(data.Za))
    expected = 27.2 * bohr / 2.0 * coulomb_by_hand(Qa.numpy(), R.numpy(), 4.0, bohr, flavor)
    assert float(written["Ea_electrostatic"].sum()) == pytest.approx(expected, rel=1e-12)


def test_two_far_charges_feel_coulombs_law() -> None:
    """Two unit charges 10 Å apart: 14.3996 eV Å / 10 Å."""
    layer = ElectrostaticEnergy(5.0, Hartree_in_E=27.211386245981, Bohr_in_R=0.529177210544)
    written = layer(
        Qa=torch.tensor([1.0, -1.0], dtype=torch.float64),
        Ra=torch.tensor([[0.0, 0.0, 0.0], [0.0, 6.0, 8.0]], dtype=torch.float64),
        N=torch.tensor([2]),
        batch=torch.zeros(2, dtype=torch.int64),
    )
    assert float(written["Ea_electrostatic"].sum()) == pytest.approx(-1.43996, rel=1e-5)


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
def test_electrostatic_energy_with_a_cutoff_by_hand(molecules: list[Data], batch: Batch, flavor: str) -> None:
    """Energies and forces of each atom, from the slope of each pair; some pairs are beyond the cutoff."""
    charges = torch.randn(len(batch.Za), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    Ra = batch.Ra.clone().requires_grad_()
    layer = ElectrostaticEnergy(3.0, 2.0, 0.529177210544, cutoff_lr=3.7, flavor=flavor)
    Ea = layer(Qa=charges, Ra=Ra, N=batch.N, batch=batch.batch)["Ea_electrostatic"]
    (gradient,) = torch.autograd.grad(Ea.sum(), Ra)
    energies, forces, beyond = torch.zeros_like(charges), torch.zeros_like(batch.Ra), 0
    starts = np.cumsum([0, *(len(data.Za) for data in molecules)])
    for first, last in pairwise(starts):
        for i, j in combinations(range(first, last), 2):
            vector = batch.Ra[i] - batch.Ra[j]
            r = vector.norm()[None].requires_grad_()
            pair = 2.0 * 0.529177210544 * charges[i] * charges[j]
            pair = pair * shifted_force(r, damped_coulomb(r, 3.0, 1.0, flavor), 3.7)
            (slope,) = torch.autograd.grad(pair, r)
            energies[[i, j]] += 0.5 * pair.detach()
            forces[i] -= slope * vector / r.detach()
            forces[j] += slope * vector / r.detach()
            beyond += int(r > 3.7)
    assert beyond > 10
    torch.testing.assert_close(Ea.detach(), energies, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(-gradient, forces, rtol=1e-11, atol=1e-11)
