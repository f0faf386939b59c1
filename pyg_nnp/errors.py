"""Users' mistakes. Each ends as one message that says where, what, and what to do instead."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 5000  # characters of a message


class UserError(Exception):
    """Base of every error that a user can mend; the command line prints its text alone."""

    def __str__(self) -> str:
        # names in a file from elsewhere may be long, or hold what a terminal obeys or a log file cannot store
        text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in super().__str__()[: _LONGEST + 1])
        return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


class ConfigError(UserError):
    """Something in the configuration file."""


class DataError(UserError):
    """Something in a data file or a data set."""


class FieldError(UserError):
    """Layers that do not fit together."""


class TrainingError(UserError):
    """Training cannot go on."""


class ProcessError(UserError):
    """Processes that cannot work together, or one of them that was lost."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` with the name in ``known`` nearest to ``name``, or an empty text."""
    by_lower_case = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), by_lower_case, n=1)
    return f" Did you mean '{by_lower_case[close[0]]}'?" if close else ""
