"""The picture of the architecture, drawn from folders, docstrings and imports of the package when pages are built."""

import ast
import sys
import textwrap
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from measure_structure import Package  # noqa: E402

# what the data are, and the module that makes it
STEPS = {
    "file": "",
    "reader": "data.formats.readers",
    "blocks": "data.source",
    "checks": "data.frame_checks",
    "store": "data.store.writer",
    "rows": "data.store.rows",
    "batch": "data.frames",
    "potential": "potential.potential",
    "predictions": "inference.predict",
    "errors": "training.metrics",
    "report": "training.report.make",
}
WIDTH, STEP_WIDTH, STEP_HEIGHT, GAP = 910, 118, 42, 36
NAME_WIDTH, TEXT_WIDTH, CELL, LINE = 92, 500, 18, 14
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#9c755f", "#b8860b")
GREY, DARK = "#8a8a8a", "#222222"


class Folders:
    """The names at the top level of the package.

    Attributes:
        names: each before those that it imports.
        imports: name -> those that it imports.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self.imports: dict[str, set[str]] = {}
        for module, targets in package.imports.items():
            here = _top(module)
            self.imports.setdefault(here, set()).update(map(_top, targets))
        del self.imports[""]
        for name, targets in self.imports.items():
            targets -= {name, ""}
        self.names = sorted(self.imports, key=lambda name: (-self._height(name, frozenset()), name))

    def _height(self, name: str, seen: frozenset[str]) -> int:
        return 1 + max((self._height(n, seen | {name}) for n in self.imports[name] - seen - {name}), default=0)

    def modules(self, name: str) -> list[str]:
        """Return the modules of a folder; those of a folder in it with its name."""
        start = f"pyg_nnp.{name}."
        found = [module.removeprefix(start) for module in self.package.modules if module.startswith(start)]
        return [module.replace(".", "/") for module in found if not any(f.startswith(f"{module}.") for f in found)]

    def meaning(self, name: str) -> str:
        """Return the first line of the docstring."""
        return (ast.get_docstring(self.package.modules[f"pyg_nnp.{name}"].tree) or "").partition("\n")[0]


def _top(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _text(x: float, y: float, content: str, size: int = 12, fill: str = DARK, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" {more}>{escape(content)}</text>'


def _box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}"/>'


def _way_of_the_data(folders: Folders, colours: dict[str, str], top: int) -> Iterator[str]:
    """Yield two rows of boxes with arrows between them."""
    in_a_row = -(-len(STEPS) // 2)
    centred = 'text-anchor="middle"'
    for number, (step, module) in enumerate(STEPS.items()):
        if module and f"pyg_nnp.{module}" not in folders.package.modules:
            raise ValueError(f"docs/architecture.py: there is no module pyg_nnp.{module}, named for '{step}'.")
        x = number % in_a_row * (STEP_WIDTH + GAP) + 10
        y = top + number // in_a_row * (STEP_HEIGHT + 56)
        yield _box(x, y, STEP_WIDTH, STEP_HEIGHT, colours.get(_top(f"pyg_nnp.{module}"), GREY))
        yield _text(x + STEP_WIDTH / 2, y + 18, step, 13, "white", centred + ' font-weight="bold"')
        yield _text(x + STEP_WIDTH / 2, y + 34, module.replace(".", "/") or "of the user", 9, "white", centred)
        if number + 1 == in_a_row:
            middle = y + STEP_HEIGHT + 28
            yield _arrow(
                (x + STEP_WIDTH / 2, y + STEP_HEIGHT),
                (x + STEP_WIDTH / 2, middle),
                (10 + STEP_WIDTH / 2, middle),
                (10 + STEP_WIDTH / 2, y + STEP_HEIGHT + 56 - 3),
            )
        elif number + 1 < len(STEPS):
            yield _arrow((x + STEP_WIDTH, y + STEP_HEIGHT / 2), (x + STEP_WIDTH + GAP - 3, y + STEP_HEIGHT / 2))


def _arrow(*points: tuple[float, float]) -> str:
    line = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{DARK}" stroke-width="1.5" marker-end="url(#head)"/>'


def _rows(folders: Folders, colours: dict[str, str], top: int) -> Iterator[tuple[int, str]]:
    """Yield the folders, each with its meaning, modules, and a dot for each name that it imports, and the next y."""
    left = 10 + NAME_WIDTH + 12
    dots = left + TEXT_WIDTH + 8
    for column, name in enumerate(folders.names):
        x = dots + column * CELL + CELL / 2
        yield top, _text(x + 4, top, name, 11, colours[name], f'transform="rotate(-60 {x + 4} {top})"')
    y = top + 10
    for row, name in enumerate(folders.names):
        lines = [*_wrapped(folders.meaning(name), 84)]
        small = [*_wrapped(", ".join(folders.modules(name)), 108)]
        height = max(LINE * (len(lines) + len(small)) + 10, 30)
        yield y, _box(10, y, NAME_WIDTH, height - 4, colours[name])
        yield y, _text(10 + NAME_WIDTH / 2, y + height / 2 + 2, name, 13, "white", 'text-anchor="middle"')
        for number, line in enumerate(lines):
            yield y, _text(left, y + LINE * (number + 1) - 1, line, 12)
        for number, line in enumerate(small, start=len(lines)):
            yield y, _text(left, y + LINE * (number + 1), line, 9.5, GREY)
        yield y, f'<line x1="10" x2="{WIDTH - 10}" y1="{y + height - 1}" y2="{y + height - 1}" stroke="#e4e4e4"/>'
        for column, other in enumerate(folders.names):
            x, middle = dots + column * CELL + CELL / 2, y + height / 2 - 2
            if other in folders.imports[name]:
                yield y, f'<circle cx="{x}" cy="{middle}" r="5" fill="{colours[other]}"/>'
            elif row == column:
                yield y, f'<rect x="{x - 4}" y="{middle - 4}" width="8" height="8" fill="#d0d0d0"/>'
        y += height
    yield y, ""


def _wrapped(text: str, width: int) -> Iterable[str]:
    return textwrap.wrap(text, width)


def picture(root: Path = ROOT) -> str:
    """Return the picture as SVG."""
    folders = Folders(Package(root))
    used = [_top(f"pyg_nnp.{module}") for module in STEPS.values() if module]
    order = [*dict.fromkeys(used), *(name for name in folders.names if name not in used)]
    colours = dict(zip(order, COLOURS, strict=False))
    colours = {name: colours.get(name, "#7d8a99") for name in folders.names}
    rows_from = 290
    rows = list(_rows(folders, colours, rows_from))
    height = rows[-1][0] + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<defs><marker id="head" markerWidth="8" markerHeight="8" refX="5" refY="3" orient="auto">'
        f'<path d="M0,0 L6,3 L0,6 z" fill="{DARK}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(10, 20, "The way of the data, and the module of each step", 14, DARK, 'font-weight="bold"'),
        *_way_of_the_data(folders, colours, 34),
        _text(10, rows_from - 64, "Folders and modules", 14, DARK, 'font-weight="bold"'),
        _text(10, rows_from - 46, "A dot: the folder of the row imports that of the column.", 12, GREY),
        *(part for _, part in rows),
        "</svg>",
    ]
    return "\n".join(parts)


def _write(app: Sphinx) -> None:
    path = Path(app.srcdir) / "generated" / "architecture.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(picture())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Draw the picture before pages are read."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
