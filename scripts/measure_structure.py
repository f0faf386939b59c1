"""Measure how the package is built: python scripts/measure_structure.py [FOLDER ...] prints a table, a column each.

Counted from the source alone, nothing is imported. A module imports another where a statement of it names it, at the
top or within a function, but not under ``if TYPE_CHECKING``; the name of a folder stands for its ``__init__.py``, which
is no link of a chain where it only passes names on.
"""

import argparse
import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LONG_FILE, LONG_FUNCTION = 250, 40
SHAPED = ("layers", "kernels", "functional")
# what changes the shape of a tensor, as it is called in this package
_CHANGES_SHAPE = re.compile(
    r"\.(view(?!\(np\.)|reshape|unsqueeze|squeeze|flatten|expand|permute|transpose|repeat_interleave|index_select|stack|"
    r"cat|new_zeros|new_empty|new_ones|sum\(dim|sum\(axis|mean\(dim|nonzero|chunk|split|T\b)|"
    # an index, not a list, and not a type
    r"[\w)\]]\[[^\]|]*\bNone\b[^\]|]*\]|@ "
)
_SHAPE = re.compile(r"#.*\(([A-Z0-9.][^)]*|[a-z],[^)]*)?\)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A source file of a package."""

    path: Path
    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """The number of lines."""
        return self.text.count("\n")

    def imported(self) -> Iterator[str]:
        """Yield the dotted names that it imports, those of what is in a module included."""
        hidden = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(self.tree):
            if id(node) in hidden:
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def functions(self) -> Iterator[tuple[Function, bool]]:
        """Yield functions and methods, and whether each is public: no name on the way to it begins with ``_``."""

        def within(node: ast.AST, public: bool) -> Iterator[tuple[Function, bool]]:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, Function):
                    is_public = public and not child.name.startswith("_")
                    yield child, is_public
                    yield from within(child, False)
                elif isinstance(child, ast.ClassDef):
                    yield from within(child, public and not child.name.startswith("_"))
                else:
                    yield from within(child, public)

        yield from within(self.tree, True)


class Package:
    """A package below a folder, by its source."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "pyg_nnp"
        self.modules = {}
        for path in sorted(self.folder.rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            self.modules[name] = Module(path, name, path.read_text())

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Module -> modules of the package that it imports; a name that a folder passes on counts for its origin."""
        found: dict[str, set[str]] = {}
        for name, module in self.modules.items():
            targets = {self._module_of(dotted) for dotted in module.imported()}
            found[name] = {target for target in targets if target} - {name}
        return found

    def _module_of(self, dotted: str) -> str | None:
        while dotted.startswith("pyg_nnp"):
            if dotted in self.modules:
                return dotted
            folder, _, name = dotted.rpartition(".")
            passed_on = self._passed_on.get(folder, {})
            dotted = passed_on.get(name, folder)
        return None

    @cached_property
    def _passed_on(self) -> dict[str, dict[str, str]]:
        """Folder -> name that its ``__init__.py`` imports -> dotted name of its origin."""
        return {
            name: {dotted.rpartition(".")[2]: dotted for dotted in module.imported() if dotted.startswith("pyg_nnp.")}
            for name, module in self.modules.items()
            if module.path.name == "__init__.py"
        }

    def longest_chain(self) -> list[str]:
        """Return the modules of a longest chain of imports, each importing the next."""
        known: dict[str, list[str]] = {}

        def chain(name: str, seen: frozenset[str]) -> list[str]:
            if name not in known:
                below = (chain(n, seen | {n}) for n in sorted(self.imports[name]) if n not in seen)
                known[name] = [name, *max(below, key=len, default=[])]
            return known[name]

        return max((chain(name, frozenset({name})) for name in self.modules), key=len)

    def floors(self) -> int:
        """Return how many floors the names at the top level stand on, each on those that it imports."""
        below: dict[str, set[str]] = {}
        for name, targets in self.imports.items():
            here = name.split(".")[1] if "." in name else ""
            below.setdefault(here, set()).update(t.split(".")[1] for t in targets if "." in t)
        heights: dict[str, int] = {}

        def height(name: str, seen: frozenset[str]) -> int:
            if name not in heights:
                under = (height(n, seen | {n}) for n in below.get(name, set()) - {name} if n not in seen)
                heights[name] = 1 + max(under, default=0)
            return heights[name]

        return max(height(name, frozenset({name})) for name in below if name)

    def all_functions(self) -> list[tuple[str, Function, bool]]:
        """Return module, function, and whether it is public, of all functions and methods."""
        return [(name, *found) for name, module in self.modules.items() for found in module.functions()]


def names_at_the_top(package: Package) -> list[str]:
    """Return modules and folders, but for ``__init__``."""
    found = (path for path in package.folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    return sorted(path.name for path in found if path.name not in ("__init__.py", "py.typed"))


def long_files(package: Package) -> list[str]:
    """Return files above 250 lines."""
    return [f"{name} ({module.lines})" for name, module in package.modules.items() if module.lines > LONG_FILE]


def length(function: Function) -> int:
    """Return the lines of a function without its docstring."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        whole -= (first.end_lineno or 0) - first.lineno + 1
    return whole


def long_functions(package: Package) -> list[str]:
    """Return functions above 40 lines, docstrings not counted."""
    found = ((name, function, length(function)) for name, function, _ in package.all_functions())
    return [f"{name}.{function.name} ({lines})" for name, function, lines in found if lines > LONG_FUNCTION]


def without_docstring(package: Package) -> list[str]:
    """Return public functions and methods without a docstring; that of a class stands for its constructor."""
    return [
        f"{name}.{function.name}"
        for name, function, public in package.all_functions()
        if public and not function.name.startswith("__") and ast.get_docstring(function) is None
    ]


def shape_lines(package: Package) -> tuple[list[str], list[str]]:
    """Return the lines that change a shape and say it, and those that do not, in the folders where they should."""
    said, silent = [], []
    for name, module in package.modules.items():
        if name.split(".")[1:2] and name.split(".")[1] in SHAPED:
            comments = {
                token.start[0]: token.string
                for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
                if token.type == tokenize.COMMENT
            }
            for statement in _statements(module.tree):
                first, last = statement.lineno, statement.end_lineno or statement.lineno
                source = "\n".join(module.text.splitlines()[first - 1 : last])
                if _CHANGES_SHAPE.search(re.sub(r"#.*", "", source)):
                    shaped = any(_SHAPE.search(comments.get(line, "")) for line in range(first, last + 1))
                    (said if shaped else silent).append(f"{name}:{first}")
    return said, silent


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements that bind or return a value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return) and node.value is not None:
            yield node


def mirrored(package: Package) -> tuple[list[str], list[str]]:
    """Return the test files that have name and place of a module or folder, and those that have not."""
    at, elsewhere = [], []
    for path in sorted((package.root / "tests").rglob("test_*.py")):
        relative = path.relative_to(package.root / "tests")
        module = package.folder / relative.with_name(relative.name.removeprefix("test_"))
        is_there = module.exists() or module.with_suffix("").is_dir()
        (at if is_there else elsewhere).append(str(relative))
    return at, elsewhere


def lines_of(package: Package, *names: str) -> int:
    """Return the lines of the first of some files that is there."""
    found = (package.folder / name for name in names)
    return next((path.read_text().count("\n") for path in found if path.exists()), 0)


ROWS: dict[str, Callable[[Package], object]] = {
    "names at the top level": lambda p: len(names_at_the_top(p)),
    "modules": lambda p: len(p.modules),
    "floors": lambda p: p.floors(),
    "longest chain of imports": lambda p: len(p.longest_chain()),
    "most imports of a module": lambda p: max(map(len, p.imports.values())),
    "files above 250 lines": lambda p: len(long_files(p)),
    "functions above 40 lines": lambda p: len(long_functions(p)),
    "lines": lambda p: sum(module.lines for module in p.modules.values()),
    "public functions": lambda p: sum(public for *_, public in p.all_functions()),
    "of these without docstring": lambda p: len(without_docstring(p)),
    "lines that change a shape and say it": lambda p: len(shape_lines(p)[0]),
    "lines that change a shape and do not": lambda p: len(shape_lines(p)[1]),
    "test files at the mirrored path": lambda p: len(mirrored(p)[0]),
    "test files elsewhere": lambda p: len(mirrored(p)[1]),
    "lines of Potential's file": lambda p: lines_of(p, "potential/potential.py", "model.py"),
    "lines of SchNetCore's file": lambda p: lines_of(p, "layers/cores/schnet.py"),
}


def details(package: Package) -> Iterator[str]:
    """Yield what is behind the numbers."""
    yield "names: " + ", ".join(names_at_the_top(package))
    yield "longest chain: " + " > ".join(name.removeprefix("pyg_nnp.") for name in package.longest_chain())
    most = sorted(package.imports.items(), key=lambda item: -len(item[1]))[:8]
    yield "most imports: " + ", ".join(f"{name} {len(targets)}" for name, targets in most)
    yield "long files: " + ", ".join(long_files(package))
    yield "long functions: " + ", ".join(long_functions(package))
    yield "without docstring: " + ", ".join(without_docstring(package))
    yield "shape not said: " + ", ".join(shape_lines(package)[1])
    yield "tests elsewhere: " + ", ".join(mirrored(package)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how the package is built.")
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(__file__).resolve().parents[1]])
    parser.add_argument("--details", action="store_true", help="say what is behind the numbers of the last folder")
    options = parser.parse_args()
    packages = [Package(folder) for folder in options.folders]
    for label, row in ROWS.items():
        print(f"{label:40}" + "".join(f"{row(package)!s:>10}" for package in packages))
    if options.details:
        print(*details(packages[-1]), sep="\n")


if __name__ == "__main__":
    main()
