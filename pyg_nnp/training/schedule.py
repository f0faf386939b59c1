"""The learning rate of each optimiser step."""

import math
from collections.abc import Callable

from pyg_nnp.config import Trainer
from pyg_nnp.training.state import TrainingState

# of a training that ends by the clock, which stands for steps
_TICKS = 10**6


def learning_rates(state: TrainingState, trainer: Trainer) -> Callable[[int], float]:
    """Return the learning rate as a function of the global step; where the clock ends a training, of the time."""
    limit = state.time_limit
    if limit is None:
        factor = lr_schedule(trainer.schedule, state.steps_per_epoch * trainer.max_epochs, trainer.warmup_ratio)
    else:
        by_time = lr_schedule(trainer.schedule, _TICKS, trainer.warmup_ratio)

        def factor(global_step: int) -> float:
            return by_time(int(_TICKS * state.elapsed / limit))

    def rate(global_step: int) -> float:
        return trainer.learning_rate * factor(global_step) * (0.5**state.plateau.halvings)

    return rate


def progress(state: TrainingState, trainer: Trainer) -> float:
    """Return the fraction of the training that is over: 0 at its first step, and 1 at its last, or when time is up."""
    if state.time_limit is not None:
        return min(state.elapsed / state.time_limit, 1.0)
    return min(state.global_step / max(state.steps_per_epoch * trainer.max_epochs - 1, 1), 1.0)


def lr_schedule(name: str, num_steps: int, warmup_ratio: float) -> Callable[[int], float]:
    """Return the factor of the learning rate as a function of the global step, counted from 0.

    It rises linearly from 0 before the first step to 1 at the end of the warm-up, then falls to 0 at the last step. The
    first step has a fraction of the warm-up already: with 0 it would be no step.

    Args:
        name: ``linear`` (to 0 at the last step), ``cosine`` (to 0 along half a cosine), ``constant`` or ``plateau``,
            constant but for what :class:`pyg_nnp.training.stopping.Plateau` takes off.
        num_steps: number T of all planned steps.
        warmup_ratio: fraction of them that are the warm-up.
    """
    # there must be a step with the full learning rate, and one at the end
    warmup = min(round(warmup_ratio * num_steps), max(num_steps - 2, 0))

    def factor(global_step: int) -> float:
        if global_step < warmup:
            return (global_step + 1) / (warmup + 1)
        done = min((global_step - warmup) / max(num_steps - 1 - warmup, 1), 1.0)
        return {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}.get(name, 1.0)

    return factor
