"""What checks have found, as data, and the one place where it is printed or raised."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from pyg_nnp.data.source import DataSource
from pyg_nnp.errors import UserError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that seems to be wrong.

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

    @property
    def message(self) -> str:
        """The whole message: place, what was found, advice."""
        return f"{self.text} {self.advice}".rstrip()

    def __str__(self) -> str:
        return self.message


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The outcome of a check of a field.

    Attributes:
        field: standard name of the field.
        summary: a few words for the table.
        findings: what is wrong; nothing if all is well, or could not be checked.
    """

    field: str
    summary: str
    findings: tuple[Finding, ...] = ()


def field_finding(
    source: DataSource,
    kind: str,
    name: str,
    found: str,
    advice: str,
    frames: Sequence[int] | NDArray[Any] | None = None,
    numbers: Mapping[str, float] | None = None,
) -> Finding:
    """Return a finding on a field of the data file.

    Args:
        source: the data file.
        kind: what is wrong.
        name: standard name of the field.
        found: the rest of the sentence that begins with the field.
        advice: what to do about it.
        frames: (g,) the frames at fault, if they are to be named.
        numbers: what was measured, by name.
    """
    at_fault = () if frames is None else tuple(int(frame) for frame in frames)
    return Finding(kind, name, source.message(name, found, frames), advice, at_fault, numbers or {})


def report(findings: Iterable[Finding]) -> None:
    """Log findings as warnings, up to the first that is an error.

    Raises:
        UserError: of the type and with the message of that finding.
    """
    for finding in findings:
        if finding.error is not None:
            raise finding.error(finding.message)
        log.warning("%s", finding.message)


def counted(number: int, what: str, several: str | None = None) -> str:
    """Return ``1 frame`` or ``2 frames``."""
    return f"{number} {what if number == 1 else several or what + 's'}"
