"""Imports point one way, and importing has no effect on anything else."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "pyg_nnp"
# a module may import from what stands before it, and from its own folder
ORDER = [
    "errors",
    "fields",
    "units",
    "runtime",
    "config",
    "functional",
    "kernels",
    "layers",
    "potential",
    "data",
    "diagnostics",
    "training",
    "inference",
    "commands",
]
STRANGERS = {("data", "layers"), ("data", "potential")}


def place_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [node.module or ""]
        found |= {name.split(".")[1] for name in names if name.startswith("pyg_nnp.")}
    return found


def test_imports_point_one_way() -> None:
    places = {place_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert places == {*ORDER}
    for path in sorted(PACKAGE.rglob("*.py")):
        here = place_of(path)
        for there in imports(path) - {here} if here != "__init__" else ():
            assert ORDER.index(there) < ORDER.index(here), f"{path.relative_to(PACKAGE)} imports {there}"
            assert (here, there) not in STRANGERS, f"{path.relative_to(PACKAGE)} imports {there}"


def test_importing_changes_nothing(tmp_path: Path) -> None:
    """Random states, default type, threads, warnings and files are as before."""
    program = """
import random, warnings, logging, numpy, torch, torch_geometric, torch_geometric.data, torch_geometric.nn
import ase, h5py, pydantic, rich.progress, scipy.sparse, scipy.special
def state():
    return (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist(), torch.get_default_dtype(),
            torch.get_num_threads(), torch.is_grad_enabled(), torch.backends.cuda.matmul.allow_tf32,
            list(warnings.filters), logging.getLogger().handlers[:], logging.getLogger().level)
before = state()
import pyg_nnp, pyg_nnp.commands, pyg_nnp.commands.cli, pyg_nnp.data.formats.readers, pyg_nnp.diagnostics.model
assert state() == before
assert not logging.getLogger("pyg_nnp").handlers
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_is_there_at_once(tmp_path: Path) -> None:
    """A mistyped option is not answered after seconds of imports."""
    program = (
        "import sys; from pyg_nnp.commands import cli; cli.parser(); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == 0


def test_names_of_the_package(tmp_path: Path) -> None:
    program = """
import pyg_nnp
assert all(callable(getattr(pyg_nnp, name)) or name == "data" for name in pyg_nnp.__all__)
assert pyg_nnp.data.MoleculeDataset
try:
    pyg_nnp.nothing
except AttributeError as error:
    assert str(error) == "module 'pyg_nnp' has no attribute 'nothing'"
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
