"""What follows from the scores of the epochs: when a training ends, and when its learning rate is halved."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """The best score so far and how long ago that was.

    A score that is not finite is never an improvement.
    """

    patience: int | None  # number of epochs to wait for an improvement; None: all
    score: float = math.inf  # the best one
    epoch: int = 0  # which had it; 0: none so far
    sha256: str | None = None  # digest of the file with its potential

    def update(self, score: float, epoch: int) -> bool:
        """Say whether this score is the best so far, and remember it if so."""
        better = math.isfinite(score) and score < self.score
        if better:
            self.score, self.epoch = score, epoch
        return better

    def exhausted(self, epoch: int) -> bool:
        """Say whether there was no improvement for ``patience`` epochs."""
        return self.patience is not None and epoch - self.epoch >= self.patience


@dataclass
class Plateau:
    """How often the learning rate was halved since the score was not better any more."""

    patience: int | None  # number of epochs without a better score before it is halved; None: it is not
    halvings: int = 0
    waited: int = 0  # number of epochs since the score was better or the rate was halved

    def update(self, is_better: bool) -> None:
        """Take in an epoch."""
        self.waited = 0 if is_better else self.waited + 1
        if self.patience is not None and self.waited >= self.patience:
            self.halvings, self.waited = self.halvings + 1, 0
