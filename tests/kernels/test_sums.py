"""Sums that have one order: on the CPU PyTorch's, elsewhere an operator, which is the derivative of its derivative."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from atomic_sums import AtomicSums
from crystals import periodic_data, some_crystals
from molecules import CORE, make_potential, results, some_molecules
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.functional import mesh
from pyg_nnp.kernels import (
    of_groups,
    of_molecules,
    reference,
    sum_over_atoms,
    sum_over_ends,
    sum_over_groups,
    sums,
    tensor_operators,
    tensor_reference,
)
from pyg_nnp.layers.cores import CORES, cartesian

BATCH = torch.tensor([0, 0, 0, 2, 2, 3])
PAIRS = torch.tensor([[1, 2, 2, 4, 5], [0, 0, 1, 3, 5]])


@pytest.fixture(params=["plain", "operators"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the operators, which a GPU has, with plain torch inside."""
    if request.param == "operators":
        monkeypatch.setattr(sums, "_is_plain", lambda values: False)


@pytest.fixture
def values() -> Tensor:
    return torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("columns", [1, 3])
def test_sums_over_atoms_and_rows_of_molecules(values: Tensor, columns: int):
    given = values[:, 0] if columns == 1 else values
    found = sum_over_atoms(given, BATCH, 5)
    rows = [given[molecule == BATCH].sum(dim=0) for molecule in range(5)]
    torch.testing.assert_close(found, torch.stack(rows))
    assert (found[[1, 4]] == 0).all()
    assert torch.equal(of_molecules(found, BATCH), found[BATCH])


@pytest.mark.usefixtures("_way")
def test_sums_over_the_ends_of_pairs(values: Tensor):
    found = sum_over_ends(values[:5], PAIRS, 7)
    expected = torch.zeros(7, 3, dtype=torch.float64)
    for value, j, i in zip(values.detach(), *PAIRS.tolist(), strict=False):
        expected[i] += value
        expected[j] -= value
    torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("_way")
def test_derivatives_of_both_orders(values: Tensor):
    def function(values: Tensor) -> Tensor:
        molecules = sum_over_atoms(values**2, BATCH, 4)
        return sum_over_ends(of_molecules(molecules, BATCH).sin()[:5] * values[:5], PAIRS, 6).tanh()

    assert torch.autograd.gradcheck(function, values)
    assert torch.autograd.gradgradcheck(function, values)


def test_operators_are_sound(values: Tensor):
    start, order = reference.sort_edges(torch.stack((BATCH, BATCH)), 4)
    for name, rows in {"sum_rows": values, "take_rows": values[:4]}.items():
        checks = ("test_schema", "test_autograd_registration", "test_faketensor")
        operator = getattr(torch.ops.pyg_nnp, name).default
        torch.library.opcheck(operator, (rows, BATCH.clone(), start, order), test_utils=checks)


@pytest.mark.usefixtures("_way")
def test_sums_over_groups_in_any_order(values: Tensor):
    groups = torch.tensor([3, 0, 3, 1, 0, 3])
    found = sum_over_groups(values, groups, 5)
    torch.testing.assert_close(found, torch.stack([values[groups == group].sum(dim=0) for group in range(5)]))
    (gradient,) = torch.autograd.grad((found**2).sum(), values)
    torch.testing.assert_close(gradient, 2 * found.detach()[groups])
    assert torch.equal(of_groups(found, groups), found[groups])
    assert torch.autograd.gradgradcheck(lambda x: of_groups(x.sin(), groups).square(), found)


# all layers that may be together, Dispersion left out, which computes on the CPU
MOLECULES = [
    *[(name, {}) for name in ("RangeSeparation", "BesselBasis", "RandomAtomEmbedding", "ChargeEmbedding")], CORE,
    *[(name, {}) for name in ("AtomicAffine", "ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy")],
    ("ZBL", {"learned": True}), ("EnergyReduce", {}), ("Force", {}),
]  # fmt: skip
CELLS = [entry for entry in MOLECULES if entry[0] != "AtomicCharge2Dipole"] + [("Stress", {})]


def systems(is_periodic: bool) -> Batch:
    if not is_periodic:
        return Batch.from_data_list(some_molecules())
    whole = [atoms for atoms in some_crystals() if atoms.pbc.all() == atoms.pbc.any()]
    return Batch.from_data_list([periodic_data(atoms) for atoms in whole])


def _in_operator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let plain torch differentiate within an operator, as no kernel has to."""

    def computed(*arguments: Any) -> Any:
        included = torch._C._dispatch_tls_local_include_set()
        with torch._C._ForceDispatchKeyGuard(included, torch._C.DispatchKeySet.from_raw_repr(0)):
            return tuple(value.detach() for value in function(*arguments))

    return computed


@pytest.fixture
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the ways of a GPU: operators, with plain torch inside, and none for filters that are not tied."""
    monkeypatch.setattr(sums, "_is_plain", lambda values: False)
    monkeypatch.setattr(mesh, "_is_ordered", lambda values: False)
    monkeypatch.delitem(tensor_operators.UNTIED.modules, "cpu")
    names = ("aggregate_tensors", "tensor_derivatives", "tensor_second_derivatives")
    functions = {name: _in_operator(getattr(tensor_reference, name)) for name in names}
    operators = SimpleNamespace(supports=lambda table, y, a: True, **functions)
    monkeypatch.setattr(tensor_operators, "_module", lambda table, a: operators)
    monkeypatch.setattr(
        cartesian, "interact", lambda plain, pairs, given, weights: plain(pairs, given, weights.layers())[0]
    )


@pytest.mark.parametrize("is_periodic", [False, True], ids=["molecules", "cells"])
@pytest.mark.parametrize("architecture", CORES)
def test_nothing_is_added_atomically(architecture: str, is_periodic: bool, request: pytest.FixtureRequest) -> None:
    """Neither in a step of training, with losses on forces and stress, nor in an evaluation; results are the same."""
    potential = make_potential(CELLS if is_periodic else MOLECULES, architecture)
    batch = systems(is_periodic)
    with AtomicSums() as plainly:
        expected = results(potential, batch)
    assert plainly.found
    request.getfixturevalue("_as_on_a_gpu")
    with AtomicSums() as step:
        found = results(potential, batch)
    with AtomicSums() as evaluation:
        potential.eval()(batch)
    assert not step.found | evaluation.found
    of_core = "aggregate" if architecture == "SchNet" else "aggregate_tensors"
    assert {of_core, f"{of_core}_double_backward", "sum_rows", "take_rows"} <= step.used
    for those, others in zip(found, expected, strict=True):
        assert those.keys() == others.keys()
        for name, value in those.items():
            torch.testing.assert_close(value, others[name], rtol=0, atol=1e-10 * float(others[name].abs().max()))
