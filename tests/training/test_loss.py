import math

import pytest
import torch

from pyg_nnp.errors import FieldError
from pyg_nnp.training.loss import weighted_loss


def test_weighted_sum_by_hand() -> None:
    predicted = {"E": torch.tensor([1.0, 2.0, 4.0]), "Fa": torch.tensor([[1.0, 0.0, -2.0]])}
    data = {"E": torch.tensor([1.0, 0.0, 1.0]), "Fa": torch.tensor([[0.0, 0.0, 0.0]])}
    loss = weighted_loss(predicted, data, {"rmse": {"E": 2.0, "Fa": 1.0}, "mae": {"E": 0.5}, "mse": {"Fa": 3.0}})
    expected = 2.0 * math.sqrt(13 / 3) + math.sqrt(5 / 3) + 0.5 * 5 / 3 + 3.0 * 5 / 3
    assert float(loss) == pytest.approx(expected)


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
