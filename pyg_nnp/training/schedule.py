"""The learning rate of each optimiser step."""

import math
from collections.abc import Callable


def lr_schedule(name: str, num_steps: int, warmup_ratio: float) -> Callable[[int], float]:
    """Return the factor of the learning rate as a function of the global step, counted from 0.

    It rises linearly from 0 before the first step to 1 at the end of the warm-up, then falls to 0 at the last step. The
    first step has a fraction of the warm-up already: with 0 it would be no step.

    Args:
        name: ``linear`` (to 0 at the last step), ``cosine`` (to 0 along half a cosine) or ``constant``.
        num_steps: number T of all planned steps.
        warmup_ratio: fraction of them that are the warm-up.
    """
    # there must be a step with the full learning rate, and one at the end
    warmup = min(round(warmup_ratio * num_steps), max(num_steps - 2, 0))

    def factor(global_step: int) -> float:
        if global_step < warmup:
            return (global_step + 1) / (warmup + 1)
        done = min((global_step - warmup) / max(num_steps - 1 - warmup, 1), 1.0)
        return {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "constant": 1.0}[name]

    return factor
