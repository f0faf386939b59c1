"""Kinds of errors and weights of losses, those of Huber losses and those that change."""

import pytest
import yaml
from configurations import read

from pyg_nnp.config import any_changes, delta_of, dump_config, fields_of, is_used, weight_at
from pyg_nnp.config.schema import config_from_dict


@pytest.mark.parametrize(
    ("kind", "delta"),
    [
        ("huber_0.01", 0.01),
        ("huber_1", 1.0),
        ("huber_2.5e-3_per_atom", 2.5e-3),
        ("huber_0", None),
        ("huber_-1", None),
        ("huber_nan", None),
        ("huber_", None),
        ("huber_DELTA", None),
        ("rmse", None),
    ],
)
def test_delta_is_in_the_name(kind: str, delta: float | None) -> None:
    assert delta_of(kind) == delta


def test_huber_and_changes_are_read_in_both_spellings() -> None:
    change = {"from": 1, "to": 0.1}
    expected = {"huber_0.01": {"Fa": 2.0}, "huber_0.5_per_atom": {"E": {"from": 1.0, "to": 0.1}}}
    for loss in (
        {"huber_0.01": {"Fa": 2}, "huber_0.5_per_atom": {"E": change}},
        {"Fa": {"huber_0.01": 2}, "E": {"huber_0.5_per_atom": change}},
    ):
        config = read({"FF/loss": loss})
        assert config.Modelhub.internal_FFs["FF01"].loss == expected
        written = yaml.safe_load(dump_config(config))
        assert written["Modelhub"]["internal_FFs"]["FF01"]["loss"] == expected
        assert config_from_dict(written).model_dump() == config.model_dump()


def test_weights_between_their_ends() -> None:
    change = {"from": 0.3, "to": 0.1}
    assert [weight_at(change, p) for p in (0.0, 0.5, 1.0)] == [0.3, pytest.approx(0.2), 0.1]
    assert weight_at(7.0, 0.5) == 7.0
    weights = {"rmse": {"E": {"from": 0.0, "to": 1.0}, "Fa": 0.0}, "mae": {"Qa": 1.0, "M2": {"from": 0.0, "to": 0.0}}}
    assert any_changes(weights)
    assert not any_changes({"rmse": {"E": 1.0}})
    assert fields_of(weights) == ["E", "Qa"]
    assert is_used({"from": 1.0, "to": 0.0})
