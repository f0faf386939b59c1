"""The wheel: installed into an environment of its own, away from the checkout, it trains."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from toy import toy_config, write_config, write_toy

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that knows nothing of the checkout, and return what it printed."""
    # PIP_*: no index is asked, as what is needed is there; numba: plain torch, since compiling takes a minute
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    clean |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new environment with the wheel; all other packages are those of the present one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # setuptools leaves its files beside the sources
    shutil.copytree(ROOT / "pyg_nnp", source / "pyg_nnp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", source, cwd=folder)
    (wheel,) = folder.glob("dist/pyg_nnp-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", "environment", cwd=folder)
    environment = folder / "environment"
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel, cwd=folder)
    # a line of a .pth file adds a folder, but reads none of the .pth files in it, such as that of the checkout
    (packages,) = environment.glob("lib/python*/site-packages")
    present = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (packages / "others.pth").write_text("".join(f"{path}\n" for path in sorted(present)))
    shutil.rmtree(source)
    return environment


def test_it_trains_away_from_the_checkout(environment: Path, tmp_path: Path) -> None:
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Trainer__max_epochs=2, Trainer__report=True))
    run(environment / "bin" / "pyg-nnp", "train", "train.yaml", "-o", "out", cwd=tmp_path)
    model = tmp_path / "out" / "FF01-SchNet"
    assert (model / "best.safetensors").exists()
    assert len((model / "history.csv").read_text().splitlines()) == 3
    assert "<html" in (model / "report.html").read_text()


def test_the_package_is_that_of_the_environment(environment: Path, tmp_path: Path) -> None:
    program = (
        "import pyg_nnp, importlib.metadata as m; print(pyg_nnp.__file__); print(m.metadata('pyg-nnp')['Summary'])"
    )
    place, summary = run(environment / "bin" / "python", "-c", program, cwd=tmp_path).splitlines()
    package = Path(place).parent
    assert package.is_relative_to(environment)
    assert "Neural network potentials" in summary
    expected = {path.relative_to(ROOT / "pyg_nnp") for path in (ROOT / "pyg_nnp").rglob("*") if path.is_file()}
    expected = {path for path in expected if "__pycache__" not in path.parts}
    installed = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    assert expected <= installed
