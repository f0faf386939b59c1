"""What checks have found, as data, and the one place where it is printed or raised."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from pyg_nnp.data.source import DataSource
from pyg_nnp.errors import UserError

log = logging.getLogger(__name__)

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that seems to be wrong; as text the whole message: place, what was found, advice.

    Attributes:
        kind: what is wrong, in a few words that are the same for all data sets.
        field: standard name of the field at fault; None where it is a part, a model or an option.
        text: where it is and what was found.
        advice: what to do about it.
        frames: the frames at fault, where they are known.
        numbers: what was measured, by name.
        error: what the finding is raised as; None if it is a warning.
    """

    kind: str
    field: str | None
    text: str
    advice: str = ""
    frames: tuple[int, ...] = ()
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    error: type[UserError] | None = None

    def __str__(self) -> str:
        return f"{self.text} {self.advice}".rstrip()


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The outcome of a check of a field: a few words for the table, and what is wrong, if anything is."""

    field: str
    summary: str
    findings: Sequence[Finding] = ()


def field_finding(
    source: DataSource,
    kind: str,
    name: str,
    found: str,
    advice: str,
    frames: Sequence[int] | Array | None = None,
    **numbers: float,
) -> Finding:
    """Return a :class:`Finding` on a field of the data file; ``found`` is what follows its name.

    Only (g,) ``frames`` that are given are named in its text.
    """
    at_fault = () if frames is None else tuple(int(frame) for frame in frames)
    return Finding(kind, name, source.message(name, found, frames), advice, at_fault, numbers)


def report(findings: Iterable[Finding]) -> None:
    """Log findings as warnings, up to the first that is an error.

    Raises:
        UserError: of the type and with the message of that finding.
    """
    for finding in findings:
        if finding.error is not None:
            raise finding.error(str(finding))
        log.warning("%s", finding)


def counted(number: int, what: str, several: str | None = None) -> str:
    """Return ``1 frame`` or ``2 frames``."""
    return f"{number} {what if number == 1 else several or what + 's'}"
