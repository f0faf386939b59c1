"""The total energy."""

import pytest
import torch

from pyg_nnp.layers import EnergyReduce


def test_energy_is_summed_in_double_precision() -> None:
    """10 000 atoms of -1.0001 eV: in single precision the sum would be off by far more than a meV."""
    count = 10_000
    Ea = torch.full((count,), -1.0001)
    written = EnergyReduce(["Ea"])(N=torch.tensor([count]), batch=torch.zeros(count, dtype=torch.long), Ea=Ea)
    assert written["E"].dtype == torch.float64
    assert float(written["E"]) == pytest.approx(count * float(Ea[0]), rel=1e-14)
