"""HTML pages that need nothing but themselves."""

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from struct import unpack
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pyg_nnp.errors import ConfigError
from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.functional.geometry import formula
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.runtime.logs import versions

REPORT, COMPARISON = "report", "comparison"
_MARK = '<meta name="generator" content="pyg-nnp {}">'
_HEAD = 1000  # bytes, within which the mark stands


def render(kind: str, **values: Any) -> str:
    """Fill in the template of a kind of page; all texts are escaped.

    Args:
        kind: ``report`` or ``comparison``.
        values: variables of the template.
    """
    environment = Environment(
        loader=PackageLoader("pyg_nnp.training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "subscripts": subscripts, "formula": formula}
    environment.globals |= {
        "fields": FIELDS,
        "symbols": {name: FIELDS[name].label for name in COMPARED},
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "versions": versions(),
    }
    return environment.get_template(f"{kind}.html.jinja").render(mark=Markup(_MARK.format(kind)), **values)


def number(value: float | None) -> str:
    """Return a number with four digits, as tables have it."""
    return "–" if value is None else f"{value:#.4g}".rstrip(".").replace("-", "−")


def subscripts(text: str) -> Markup:
    """Return the formula of a molecule with its numbers set lower."""
    return Markup(re.sub(r"(\d+)", r"<sub>\1</sub>", str(escape(text))))


@dataclass(frozen=True)
class Picture:
    """A picture within a page.

    Attributes:
        address: a data URI, which holds it.
        width: at which it is shown, in CSS pixels, so that the text of all pictures has one size.
        height: likewise.
    """

    address: str
    width: int
    height: int

    @classmethod
    def of(cls, png: bytes) -> "Picture":
        """Return the picture in a PNG file, shown at 0.72 of its size in pixels."""
        # the header's first chunk has both sizes (W3C PNG specification, 11.2.2)
        width, height = (round(0.72 * pixels) for pixels in unpack(">II", png[16:24]))
        return cls(f"data:image/png;base64,{b64encode(png).decode()}", width, height)


def check_place(path: Path, kind: str) -> None:
    """Refuse to write over any other file than a page of this kind.

    Raises:
        ConfigError: there is something else.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise ConfigError(f"{path}: this is a folder. Name a file.")
    with path.open("rb") as file:
        if _MARK.format(kind).encode() not in file.read(_HEAD):
            raise ConfigError(f"{path}: this file is no {kind} that pyg_nnp wrote, and is left as it is. Name another.")


def write_page(path: Path, kind: str, html: str) -> None:
    """Write a page, over an older one of the same kind or where there is nothing.

    Raises:
        ConfigError: there is something else.
        OSError: it cannot be written.
    """
    check_place(path, kind)
    write_durably(path, [html.encode()])
