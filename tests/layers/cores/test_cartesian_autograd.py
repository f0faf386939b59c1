"""The passes written by hand against automatic differentiation of the formulas, in double precision."""

import pytest
import torch
from torch import Tensor

from pyg_nnp import kernels
from pyg_nnp.layers.cores import cartesian_autograd
from pyg_nnp.layers.cores.cartesian import interaction
from pyg_nnp.layers.cores.cartesian_autograd import interact
from pyg_nnp.layers.cores.cartesian_passes import Given, Pairs, Weights

# what is updated, and whether there are vectors and matrices before
KINDS = [(updates, absent) for updates in (0, 1, 2) for absent in (True, False)]
A, F, R = 5, 3, 9


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


GENERATOR = torch.Generator().manual_seed(7)


def example(updates: int, absent: bool) -> tuple[Pairs, list[Tensor]]:
    """Return pairs, one of an atom and its own image, and all numbers: what is given and weights."""
    pairs = torch.cat((torch.triu_indices(A - 1, A - 1, 1).flip(0), torch.tensor([[2], [2]])), dim=1)  # (2, P)
    P, edges = pairs.shape[1], kernels.sort_edges(torch.cat((pairs, pairs.flip(0)), dim=1), A, torch.float64)
    before, gates = 0 if absent else A, (1, 3, 6)[updates]
    given = random(A, F), random(before, 3, F), random(before, 5, F), random(P, 8), 0.3 * random(P, 6), random(R, 3 * F)
    mix, update = [random(F, F) for _ in range(3)], [random(F, F) for _ in range(updates)]
    dense = 0.3 * random(F, 5 * F), random(F), random(gates * F, F), random(gates * F)
    return Pairs(torch.arange(P) % 3, edges), [*given, random(3 * F, F), *mix, *dense, *update]


def new_features(by_hand: bool, pairs: Pairs, numbers: list[Tensor]) -> tuple[Tensor, ...]:
    given, weights = Given(*numbers[:6]), Weights.of(numbers[6:])
    return interact(interaction, pairs, given, weights) if by_hand else interaction(pairs, given, weights.layers())[0]


def energy_of(new: tuple[Tensor, ...], seen: int) -> Tensor:
    return torch.stack([x.sin().sum() for x in new[:seen]]).sum()


def assert_same(found, expected) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.detach().abs().amax()))


def by_both(function, pairs: Pairs, numbers: list[Tensor]) -> None:
    """Compare what a function returns of new features and leaves, of which the interaction gets functions."""
    results = []
    for by_hand in (True, False):
        leaves = [x.clone().requires_grad_() for x in numbers if x.numel()]
        it = iter(leaves)
        # nothing is a leaf, and fields depend on one another, as in a network
        inner = [next(it).sin() if x.numel() else x for x in numbers]
        inner[0] = inner[0] + leaves[3].mean() if len(leaves) > 3 else inner[0]
        results.append(function(new_features(by_hand, pairs, inner), leaves))
    assert_same(*results)


@pytest.mark.parametrize(("updates", "absent"), KINDS)
@pytest.mark.parametrize("seen", [1, 3])
def test_gradients_of_a_loss_on_slopes(updates: int, absent: bool, seen: int) -> None:
    """By all numbers at once; energies that depend on all new features, or on s alone."""
    pairs, numbers = example(updates, absent)
    y, b = (1, 2) if absent else (3, 4)

    def gradients(new: tuple[Tensor, ...], leaves: list[Tensor]) -> list[Tensor | None]:
        slopes = torch.autograd.grad(energy_of(new, seen), (leaves[y], leaves[b]), create_graph=True)
        loss = torch.stack([x.cos().sum() for x in slopes]).sum() + new[0].square().sum()
        return [*new, *slopes, *torch.autograd.grad(loss, leaves, allow_unused=True)]

    by_both(gradients, pairs, numbers)


@pytest.mark.parametrize(("updates", "absent"), KINDS)
def test_first_derivatives(updates: int, absent: bool) -> None:
    def gradients(new: tuple[Tensor, ...], leaves: list[Tensor]) -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(energy_of(new, 3), leaves, allow_unused=True)

    by_both(gradients, *example(updates, absent))


@pytest.mark.parametrize("absent", [True, False])
def test_derivatives_by_weights_alone(absent: bool) -> None:
    """As of an embedding that is frozen, which takes no derivatives by features."""
    pairs, numbers = example(2, absent)
    found = []
    for by_hand in (True, False):
        weights = [x.clone().requires_grad_() for x in numbers[6:]]
        found.append(torch.autograd.grad(energy_of(new_features(by_hand, pairs, numbers[:6] + weights), 3), weights))
    assert_same(*found)


def test_second_derivatives_by_anything() -> None:
    """Gradients by weights and by the table can be differentiated, too, and several slopes of one energy."""

    def gradients(new: tuple[Tensor, ...], leaves: list[Tensor]) -> list[Tensor | None]:
        energies = energy_of(new, 1), new[1].square().sum()
        first = [g for e in energies for g in torch.autograd.grad(e, (leaves[3], leaves[4]), create_graph=True)]
        first += torch.autograd.grad(energies[0], (leaves[0], leaves[5], leaves[6]), create_graph=True)
        total = torch.stack([x.sin().sum() for x in first]).sum()
        return [*torch.autograd.grad(total, leaves, allow_unused=True)]

    by_both(gradients, *example(2, False))


@pytest.mark.parametrize("updates", [0, 2])
def test_finite_differences(updates: int) -> None:
    """Of all numbers that are not positions, once, and of the slopes by these."""
    pairs, numbers = example(updates, False)
    numbers = [(0.3 * x).requires_grad_() for x in numbers]

    def function(*leaves: Tensor) -> Tensor:
        return torch.cat([x.flatten() for x in new_features(True, pairs, [*leaves])])

    def slopes(*leaves: Tensor) -> tuple[Tensor, ...]:
        new = new_features(True, pairs, [*leaves])
        return torch.autograd.grad(energy_of(new, 3), leaves[1:5] if updates else leaves[3:5], create_graph=True)

    assert torch.autograd.gradcheck(function, numbers)
    assert torch.autograd.gradcheck(slopes, numbers)


def test_a_third_derivative_is_refused() -> None:
    pairs, numbers = example(2, False)
    leaves = [x.requires_grad_() for x in numbers]
    (slope,) = torch.autograd.grad(energy_of(new_features(True, pairs, leaves), 3), leaves[3], create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), leaves[6], create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(second.square().sum(), leaves[3])


def test_passes_that_are_wrong_are_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    right, (pairs, numbers) = cartesian_autograd.adjoints, example(2, False)

    def wrong(*arguments):
        of = right(*arguments)
        return of._replace(z=1.01 * of.z)

    monkeypatch.setattr(cartesian_autograd, "adjoints", wrong)
    cartesian_autograd._are_right.cache_clear()
    try:
        found = new_features(True, pairs, [x.requires_grad_() for x in numbers])
        assert "differ from plain operators for torch.float64: not used" in caplog.text
        assert "_Values" not in type(found[0].grad_fn).__name__
    finally:
        cartesian_autograd._are_right.cache_clear()
    monkeypatch.undo()
    assert "_Values" in type(new_features(True, pairs, numbers)[0].grad_fn).__name__
