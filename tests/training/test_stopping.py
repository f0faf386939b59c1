"""What follows from scores."""

import math

from pyg_nnp.training.stopping import EarlyStopping, Plateau


def test_a_score_that_is_not_finite_is_no_improvement() -> None:
    best = EarlyStopping(patience=3)
    assert not best.update(math.nan, 1)
    assert not best.update(math.inf, 2)
    assert not best.update(-math.inf, 2)
    assert best.update(5.0, 3)
    assert not best.update(math.nan, 4)
    assert not best.update(5.0, 5)
    assert not best.exhausted(5)
    assert best.exhausted(6)
    assert (best.score, best.epoch) == (5.0, 3)


def test_the_rate_is_halved_after_epochs_without_a_better_score() -> None:
    plateau = Plateau(patience=2)
    seen = []
    for is_better in (True, False, False, False, False, True, False, True, False, False):
        plateau.update(is_better)
        seen.append(plateau.halvings)
    assert seen == [0, 0, 1, 1, 2, 2, 2, 2, 2, 3]


def test_other_schedules_never_halve_it() -> None:
    plateau = Plateau(None)
    for _ in range(100):
        plateau.update(False)
    assert plateau.halvings == 0
