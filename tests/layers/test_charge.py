"""Charges and dipoles against sums by hand."""

import numpy as np
import pytest
import torch
from ase.data import atomic_masses
from molecules import make_potential, some_molecules
from torch_geometric.data import Batch, Data

from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.layers import AtomicCharge2Dipole, ChargeConservation


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_charges_add_up(dtype: torch.dtype) -> None:
    batch = Batch.from_data_list(some_molecules(dtype))
    predicted = make_potential(dtype=dtype).eval()(batch)
    total = sum_over_atoms(predicted["Qa"], batch.batch, batch.num_graphs)
    assert float((total - batch.Q).abs().max()) < 1e-6
    assert float((predicted["Q"] - batch.Q).abs().max()) > 1e-3  # before the correction they do not


@pytest.mark.parametrize("origin", ["lab", "center_of_mass", "center_of_nuclear_charge"])
def test_dipole_is_a_sum_by_hand(batch: Batch, molecules: list[Data], origin: str) -> None:
    generator = torch.Generator().manual_seed(1)
    Qa = torch.randn(len(batch.Za), generator=generator, dtype=torch.float64)
    layer = AtomicCharge2Dipole(origin).double()
    M2 = layer(Qa=Qa, Ra=batch.Ra, Za=batch.Za, N=batch.N, batch=batch.batch)["M2"]
    start = 0
    for number, data in enumerate(molecules):
        R, Z = data.Ra.numpy(), data.Za.numpy()
        weights = {"lab": None, "center_of_mass": atomic_masses[Z], "center_of_nuclear_charge": Z}[origin]
        center = np.zeros(3) if weights is None else np.average(R, axis=0, weights=weights)
        by_hand = np.zeros(3)
        for q, r in zip(Qa[start : start + len(Z)].tolist(), R, strict=True):
            by_hand += q * (r - center)
        np.testing.assert_allclose(M2[number], by_hand, rtol=1e-12, atol=1e-12)
        start += len(Z)


def test_dipole_of_a_neutral_molecule_needs_no_origin(molecules: list[Data]) -> None:
    data = molecules[0]
    Qa = torch.randn(len(data.Za), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    Qa = Qa - Qa.mean()
    batch = torch.zeros_like(data.Za)
    dipoles = [
        AtomicCharge2Dipole(origin).double()(Qa=Qa, Ra=data.Ra, Za=data.Za, N=data.N, batch=batch)["M2"]
        for origin in ("lab", "center_of_mass", "center_of_nuclear_charge")
    ]
    torch.testing.assert_close(dipoles[1], dipoles[0])
    torch.testing.assert_close(dipoles[2], dipoles[0])


def test_charge_conservation_by_hand() -> None:
    written = ChargeConservation()(
        Qa=torch.tensor([0.5, 0.1, -0.3, 0.2]),
        Q=torch.tensor([1.0, 0.0]),
        N=torch.tensor([3, 1]),
        batch=torch.tensor([0, 0, 0, 1]),
    )
    torch.testing.assert_close(written["Q_sum"], torch.tensor([0.3, 0.2]))
    torch.testing.assert_close(
        written["Qa"], torch.tensor([0.5, 0.1, -0.3, 0.0]) + torch.tensor([0.7, 0.7, 0.7, 0]) / 3
    )


def test_atomic_dipoles_are_added() -> None:
    fields = {
        "Qa": torch.tensor([1.0, -1.0, 0.5]),
        "Ra": torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]]),
        "Za": torch.tensor([1, 1, 1]),
        "N": torch.tensor([2, 1]),
        "batch": torch.tensor([0, 0, 1]),
    }
    Ma = torch.tensor([[0.0, 0.0, 0.25], [1.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    layer = AtomicCharge2Dipole(atomic_dipoles=True)
    assert layer.reads == (*AtomicCharge2Dipole.reads, "Ma")
    assert layer(**fields, Ma=Ma)["M2"].tolist() == [[2.0, -2.0, 0.25], [0.0, 3.0, 2.0]]
    assert AtomicCharge2Dipole()(**fields)["M2"].tolist() == [[1.0, -2.0, 0.0], [0.0, 0.0, 2.0]]
