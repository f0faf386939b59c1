"""200 configurations that were tampered with are refused with a place, or train."""

import collections
import shutil
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from mutations import OUTCOMES, mutated, run_mutated
from toy import write_toy


def test_mutated_configurations(tmp_path: Path) -> None:
    write_toy(tmp_path)
    outcomes: collections.Counter[str] = collections.Counter()

    @settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated())
    def check(text: str) -> None:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        outcome = run_mutated(tmp_path, text)
        outcomes[outcome] += 1
        assert outcome in OUTCOMES, (outcome, text)

    check()
    print(f"\n{outcomes.total()} mutated configurations: {dict(outcomes)}, 0 without a message")
    assert outcomes.total() >= 200
    assert outcomes["refused"] > 50
    assert outcomes["trained"] > 5
