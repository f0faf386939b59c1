import math

import pytest
import torch

from pyg_nnp.errors import FieldError
from pyg_nnp.training.loss import weighted_loss
from pyg_nnp.training.metrics import MetricSums, weighted_sum


def test_weighted_sum_by_hand() -> None:
    predicted = {"E": torch.tensor([1.0, 2.0, 4.0]), "Fa": torch.tensor([[1.0, 0.0, -2.0]])}
    data = {"E": torch.tensor([1.0, 0.0, 1.0]), "Fa": torch.tensor([[0.0, 0.0, 0.0]])}
    loss = weighted_loss(predicted, data, {"rmse": {"E": 2.0, "Fa": 1.0}, "mae": {"E": 0.5}, "mse": {"Fa": 3.0}})
    expected = 2.0 * math.sqrt(13 / 3) + math.sqrt(5 / 3) + 0.5 * 5 / 3 + 3.0 * 5 / 3
    assert float(loss) == pytest.approx(expected)


def test_lengths_of_errors_and_errors_per_atom_by_hand() -> None:
    forces = torch.tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
    predicted = {"E": torch.tensor([1.0, 2.0], dtype=torch.float64), "Fa": forces}
    data = {"E": torch.tensor([0.0, 5.0], dtype=torch.float64), "Fa": torch.zeros(3, 3), "N": torch.tensor([1, 2])}
    by_hand = {
        "l2norm": ("Fa", (5 + 0 + 3) / 3),
        "mae_per_atom": ("E", (1 + 1.5) / 2),
        "mse_per_atom": ("E", (1 + 1.5**2) / 2),
        "rmse_per_atom": ("E", math.sqrt((1 + 1.5**2) / 2)),
    }
    weights = {kind: {name: 1.0} for kind, (name, _) in by_hand.items()}
    sums = MetricSums(torch.device("cpu"), weights)
    sums.update(predicted, data)
    for kind, (name, expected) in by_hand.items():
        one = {kind: {name: 1.0}}
        assert float(weighted_loss(predicted, data, one)) == pytest.approx(expected), kind
        assert float(weighted_loss(predicted, data, one, {name: 1.0})) == pytest.approx(expected), kind
        assert sums.errors()[kind][name] == pytest.approx(expected), kind


def test_huber_loss_by_hand() -> None:
    """Half a square up to delta, beyond it linear, of each component; labels that are missing do not count."""
    forces = torch.tensor([[0.1, 0.0, -4.0], [0.5, 0.2, 2.0]])
    by_hand = (0.005 + 0 + 0.5 * (4 - 0.25) + 0.125 + 0.02 + 0.5 * (2 - 0.25)) / 6
    predicted, weights = {"Fa": forces, "E": torch.tensor([1.0, -3.0])}, {"huber_0.5": {"Fa": 2.0}}
    data = {"Fa": torch.zeros(2, 3), "E": torch.zeros(2), "N": torch.tensor([1, 2])}
    assert float(weighted_loss(predicted, data, weights)) == pytest.approx(2 * by_hand)
    per_atom = {"huber_1.2_per_atom": {"E": 1.0}}
    of_energies = (0.5 + 1.2 * (1.5 - 0.6)) / 2
    assert float(weighted_loss(predicted, data, per_atom)) == pytest.approx(of_energies)
    sums = MetricSums(torch.device("cpu"), weights, per_atom)
    sums.update(predicted, data)
    assert sums.errors()["huber_0.5"]["Fa"] == pytest.approx(by_hand)
    assert sums.errors()["huber_1.2_per_atom"]["E"] == pytest.approx(of_energies)
    data["Fa"][0, 2] = math.nan
    loss = weighted_loss(predicted, data, weights, {"Fa": 5 / 6})
    assert float(loss) == pytest.approx(2 * (6 * by_hand - 0.5 * 3.75) / 5)


def test_weights_that_change_by_hand() -> None:
    predicted = {"E": torch.tensor([3.0], requires_grad=True), "Fa": torch.tensor([[1.0, 1.0, 1.0]])}
    data = {"E": torch.tensor([0.0]), "Fa": torch.zeros(1, 3)}
    weights = {"mae": {"E": {"from": 0.0, "to": 10.0}, "Fa": 2.0}}
    for progress, weight in ((0.0, 0.0), (0.25, 2.5), (1.0, 10.0)):
        now = {**data, "progress": torch.tensor(progress, dtype=torch.float64)}
        loss = weighted_loss(predicted, now, weights)
        assert float(loss.detach()) == weight * 3 + 2
        (slope,) = torch.autograd.grad(loss, predicted["E"])
        assert float(slope) == weight
        assert weighted_sum({"mae": {"E": 3.0, "Fa": 1.0}}, weights, progress) == weight * 3 + 2


def test_lengths_have_finite_gradients_where_nothing_is_wrong() -> None:
    predicted = torch.zeros(3, 3, requires_grad=True)
    weighted_loss({"Fa": predicted}, {"Fa": torch.zeros(3, 3)}, {"l2norm": {"Fa": 1.0}}).backward()
    assert torch.equal(predicted.grad, torch.zeros(3, 3))


def test_vectors_that_are_missing_do_not_count() -> None:
    forces = torch.tensor([[3.0, 0.0, -4.0], [7.0, 7.0, 7.0], [1.0, 2.0, 2.0]])
    data = {"Fa": torch.tensor([[0.0] * 3, [math.nan] * 3, [0.0] * 3]), "N": torch.tensor([3])}
    # two of three labels are there, as is to be expected
    loss = weighted_loss({"Fa": forces}, data, {"l2norm": {"Fa": 1.0}}, {"Fa": 2 / 3})
    assert float(loss) == pytest.approx((5 + 3) / 2)


def test_a_vector_of_which_a_part_is_missing_has_no_length() -> None:
    forces = torch.tensor([[3.0, 0.0, -4.0], [7.0, 7.0, 7.0], [1.0, 2.0, 2.0]])
    data = {"Fa": torch.tensor([[0.0] * 3, [0.0, math.nan, 0.0], [0.0] * 3]), "N": torch.tensor([3])}
    weights = {"l2norm": {"Fa": 1.0}}
    loss = weighted_loss({"Fa": forces}, data, weights, {"Fa": 8 / 9})
    assert float(loss) == pytest.approx((5 + 3) / 2)
    sums = MetricSums(torch.device("cpu"), weights)
    sums.update({"Fa": forces}, data)
    assert sums.errors()["l2norm"]["Fa"] == pytest.approx((5 + 3) / 2)


def test_column_of_energies_is_refused() -> None:
    """(n,) minus (n, 1) would broadcast to (n, n)."""
    with pytest.raises(FieldError, match=r"'E' is predicted with shape \(4,\), the data has \(4, 1\)"):
        weighted_loss({"E": torch.zeros(4)}, {"E": torch.zeros(4, 1)}, {"rmse": {"E": 1.0}})


def test_what_is_not_predicted_is_an_error() -> None:
    with pytest.raises(FieldError, match=r"does not predict 'M2'\. It predicts: E"):
        weighted_loss({"E": torch.zeros(4)}, {"M2": torch.zeros(4, 3)}, {"rmse": {"M2": 1.0}})


def test_exact_prediction_has_a_finite_gradient() -> None:
    predicted = torch.zeros(3, requires_grad=True)
    weighted_loss({"E": predicted}, {"E": torch.zeros(3)}, {"rmse": {"E": 1.0}}).backward()
    assert torch.equal(predicted.grad, torch.zeros(3))


def test_difference_of_large_energies_is_taken_in_double_precision() -> None:
    predicted = {"E": torch.tensor([-40000.0001], dtype=torch.float64)}
    data = {"E": torch.tensor([-40000.0], dtype=torch.float64)}
    assert float(weighted_loss(predicted, data, {"mae": {"E": 1.0}})) == pytest.approx(1e-4, rel=1e-6)


WEIGHTS = {"rmse": {"E": 2.0, "Fa": 1.0}, "mae": {"E": 0.5, "Fa": 0.1}, "mse": {"Fa": 3.0}}
N = torch.tensor([1, 2, 3])


def six_atoms() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return predictions for three molecules, and labels for them."""
    generator = torch.Generator().manual_seed(0)
    sizes = {"E": (3,), "Fa": (6, 3)}
    predicted, true = ({n: torch.randn(s, generator=generator) for n, s in sizes.items()} for _ in range(2))
    return predicted, true | {"N": N}


def test_missing_labels_by_hand() -> None:
    predicted = {"E": torch.tensor([1.0, 2.0, 4.0, 0.0]), "Fa": torch.tensor([[1.0, 0.0, -2.0]])}
    data = {"E": torch.tensor([1.0, math.nan, 1.0, 4.0]), "Fa": torch.tensor([[0.0, math.nan, 0.0]])}
    shares = {"E": 0.5, "Fa": 0.9}
    of_E, of_Fa = 3 / 4 / 0.5, 2 / 3 / 0.9  # labels there are, over those to be expected
    loss = weighted_loss(predicted, data, {"rmse": {"E": 2.0}, "mae": {"E": 0.5}, "mse": {"Fa": 3.0}}, shares)
    expected = of_E * (2 * math.sqrt(25 / 3) + 0.5 * 7 / 3) + of_Fa * 3.0 * 5 / 2
    assert float(loss) == pytest.approx(expected)


def test_weights_of_frames_by_hand() -> None:
    predicted, data = six_atoms()
    data |= {"weight": torch.tensor([2.0, 0.0, 0.5])}
    data["Fa"][4, 1] = math.nan
    of_atoms = torch.tensor([2.0, 0.0, 0.0, 0.5, 0.5, 0.5])[:, None].expand(6, 3)
    there = ~data["Fa"].isnan()
    errors, weights = (predicted["Fa"] - data["Fa"])[there].double(), of_atoms[there].double()
    mean = (weights * errors.square()).sum() / weights.sum()
    expected = mean.sqrt() * weights.sum() / (18 * 0.7)
    assert float(weighted_loss(predicted, data, {"rmse": {"Fa": 1.0}}, {"Fa": 0.7})) == pytest.approx(float(expected))


def test_with_all_labels_the_loss_has_the_same_bits() -> None:
    predicted, data = six_atoms()
    kinds = {"mae": lambda d: d.abs().mean(), "mse": lambda d: d.square().mean()}
    kinds["rmse"] = lambda d: d.square().mean().sqrt()
    terms = [(w * kinds[kind](predicted[n] - data[n])).double() for kind, of in WEIGHTS.items() for n, w in of.items()]
    assert float(weighted_loss(predicted, data, WEIGHTS, {})) == float(torch.stack(terms).sum())
    # and where the other way is taken, the same numbers
    assert float(weighted_loss(predicted, data, WEIGHTS, {"E": 1.0, "Fa": 1.0})) == pytest.approx(float(sum(terms)))


@pytest.mark.parametrize("kind", ["mse", "mae"])
def test_a_label_counts_the_same_in_each_batch(kind: str) -> None:
    """The gradients of batches add up to that of all frames together, however the labels lie."""
    generator = torch.Generator().manual_seed(0)
    predicted, true = torch.randn(2, 40, generator=generator)
    true[torch.rand(40, generator=generator) < 0.6] = math.nan
    true[:4] = math.nan  # a batch without labels
    share = {"E": float((~true.isnan()).double().mean())}

    def gradient(sizes: list[int]) -> torch.Tensor:
        values = predicted.clone().requires_grad_()
        parts = zip(values.split(sizes), true.split(sizes), strict=True)
        losses = [len(t) / 40 * weighted_loss({"E": p}, {"E": t}, {kind: {"E": 1.0}}, share) for p, t in parts]
        torch.stack(losses).sum().backward()
        return values.grad

    torch.testing.assert_close(gradient([4, 10, 6, 20]), gradient([40]))
    assert torch.equal(gradient([4, 36])[true.isnan()], torch.zeros(int(true.isnan().sum())))


def test_a_batch_without_labels_has_neither_loss_nor_gradient() -> None:
    predicted, data = six_atoms()
    predicted["Fa"].requires_grad_()
    data["Fa"] = torch.full((6, 3), math.nan)
    weights = {kind: {"Fa": 1.0} for kind in ("rmse", "mae", "mse")}
    loss = weighted_loss(predicted, data, weights, {"Fa": 0.3})
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(predicted["Fa"].grad, torch.zeros(6, 3))


def test_a_prediction_that_is_not_a_number_is_seen() -> None:
    predicted, data = six_atoms()
    predicted["E"][0], data["E"][1] = math.nan, math.nan
    assert math.isnan(weighted_loss(predicted, data, {"mae": {"E": 1.0}}, {"E": 0.5}))
