"""The results of one epoch."""

from dataclasses import dataclass, field, replace

from pyg_nnp.config import Weights
from pyg_nnp.training.metrics import Errors, weighted_sum


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch.

    Attributes:
        number: counted from 1.
        loss: mean training loss over the frames of the epoch.
        learning_rate: of its last step.
        validation_loss: the loss over the whole validation part, if there is one.
        score: the weighted sum of the metrics on it.
        errors: those metrics.
        seconds: wall time from the end of the epoch before, or from the beginning, without breaks between runs [s].
    """

    number: int
    loss: float
    learning_rate: float
    validation_loss: float | None = None
    score: float | None = None
    errors: Errors = field(default_factory=dict)
    seconds: float | None = None

    def validated(self, errors: Errors, loss: Weights, metrics: Weights) -> "Epoch":
        """Return the epoch with its errors on the validation part."""
        score = weighted_sum(errors, metrics)
        return replace(self, errors=errors, validation_loss=weighted_sum(errors, loss), score=score)

    def row(self) -> dict[str, float]:
        """Return the line of the epoch in ``history.csv``: column -> value."""
        known = {"validation_loss": self.validation_loss, "score": self.score}
        row = {"epoch": self.number, "learning_rate": self.learning_rate, "training_loss": self.loss}
        row |= {name: value for name, value in known.items() if value is not None}
        row |= {f"{kind}_{name}": value for kind, of_kind in self.errors.items() for name, value in of_kind.items()}
        # the last column, so that lines of older versions, which lack it, are only too short
        return row if self.seconds is None else row | {"seconds": self.seconds}
