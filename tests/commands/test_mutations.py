"""A few of the tampered configurations of ``tests/torture``."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import OUTCOMES, mutated, run_mutated
from toy import TOY_CONFIG, write_toy


@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_mutated_configurations(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_toy(Path(folder))
        outcome = run_mutated(Path(folder), text)
    assert outcome in OUTCOMES, (outcome, text)


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        ("max_epochs: 3", "max_epochs: 1", "trained"),
        ("max_epochs: 3", "max_epochs: x", "refused"),
        ("E: energy", "E: energies", "failed"),
        ("max_Za: 10", "max_Za: 1", "failed"),
        ("E: energy", '"\\ud800": energy', "refused"),
        ("data_path: dataset.pkl", f"data_path: {'x' * 300}", "failed"),
        ("architecture: SchNet", f"architecture: SchNet\n    suffix: {'x' * 300}", "refused"),
    ],
)
def test_outcomes(tmp_path: Path, old: str, new: str, outcome: str) -> None:
    write_toy(tmp_path)
    assert run_mutated(tmp_path, TOY_CONFIG.replace(old, new, 1)) == outcome
