"""Calculators have potentials of their own, where and in the precision that is asked for, or say why not."""

from pathlib import Path

import pytest
import torch
from engine_systems import of_molecules

from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.own_copy import own_copy
from pyg_nnp.potential.checkpoint import save_potential


def test_it_is_a_copy_in_evaluation_mode() -> None:
    potential = of_molecules().train()
    own = own_copy(potential, "cpu", None)
    assert own is not potential
    assert not own.training
    assert potential.training
    assert own.dtype == torch.float64
    with torch.no_grad():
        next(potential.parameters()).fill_(0.0)
    assert next(own.parameters()).abs().min() > 0


@pytest.mark.parametrize("dtype", ["float32", torch.float32])
def test_a_file_in_another_precision(dtype: str | torch.dtype, tmp_path: Path) -> None:
    save_potential(of_molecules(), tmp_path / "best.safetensors", {})
    own = own_copy(tmp_path, torch.device("cpu"), dtype)
    assert {parameter.dtype for parameter in own.parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float16", "floaty", torch.float16, torch.int64])
def test_another_precision_is_refused(dtype: str | torch.dtype) -> None:
    with pytest.raises(DataError, match=rf"^dtype: {dtype} is no precision of a potential. Choose float32, float64"):
        PotentialCalculator(of_molecules(), dtype=dtype)


@pytest.mark.parametrize("device", ["xyz", "cpu:x", "cuda:17"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(DataError, match=rf"^device: '{device}' cannot be used here \(.+\). Choose another"):
        PotentialCalculator(of_molecules(), device=device)
