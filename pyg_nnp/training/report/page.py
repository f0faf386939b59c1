"""HTML pages that need nothing but themselves."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_nnp.errors import ConfigError
from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.functional.composition import formula
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.runtime.logs import versions

REPORT, COMPARISON = "report", "comparison"
_MARK = '<meta name="generator" content="pyg-nnp {}">'
_HEAD = 1000  # bytes, within which the mark stands


def render(kind: str, **values: Any) -> str:
    """Fill in the variables of the template of a kind of page, ``report`` or ``comparison``; text is escaped."""
    loader, strict = PackageLoader("pyg_nnp.training.report"), StrictUndefined
    environment = Environment(loader=loader, undefined=strict, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "subscripts": subscripts, "formula": formula}
    environment.globals |= {
        "fields": FIELDS,
        "symbols": {name: FIELDS[name].label for name in COMPARED},
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "versions": versions(),
    }
    return environment.get_template(f"{kind}.html.jinja").render(mark=Markup(_MARK.format(kind)), **values)


def number(value: float | None) -> str:
    """Return a number with four digits, as tables have it; a dash where there is none."""
    return "–" if value is None else f"{value:#.4g}".rstrip(".").replace("-", "−")


def subscripts(text: str) -> Markup:
    """Return the formula of a molecule with its numbers set lower."""
    return Markup(re.sub(r"(\d+)", r"<sub>\1</sub>", str(escape(text))))


@dataclass(frozen=True)
class Picture:
    """A PNG file within a page, and the size at which it is shown [CSS pixels]."""

    png: bytes
    width: int
    height: int

    @classmethod
    def of(cls, figure: Figure) -> "Picture":
        """Render a figure, to be shown at 0.72 of its size in pixels, so that the text of all has one size."""
        file, canvas = BytesIO(), FigureCanvasAgg(figure)
        canvas.print_png(file)  # type: ignore[no-untyped-call]
        width, height = (round(0.72 * pixels) for pixels in canvas.get_width_height())
        return cls(file.getvalue(), width, height)

    @property
    def address(self) -> str:
        """A data URI, which holds the picture."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


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


def write_plots(folder: Path, figures: Mapping[str, Figure], out: Path) -> dict[str, Picture]:
    """Write figures into a folder within the output folder, each under its title, and return them as pictures.

    Raises:
        ConfigError: the folder is a link out of the output folder.
        OSError: it cannot be written.
    """
    pictures = {title: Picture.of(figure) for title, figure in figures.items()}
    folder.mkdir(exist_ok=True)
    if not folder.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{folder}: leads to {folder.resolve()}, outside of {out}. Take that link away.")
    for title, picture in pictures.items():
        write_durably(folder / f"{title}.png", [picture.png])
    return pictures
