"""The script that makes data sets, and the two data sets that it made."""

import csv
import importlib.util
import json
import os
import pickle
import pickletools
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.data import atomic_masses, chemical_symbols
from numpy.testing import assert_allclose

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/make_dataset.py"
ALANINE = ROOT / "examples/alanine_dipeptide"
CHARGED = ROOT / "examples/charged_molecules"
EXAMPLES = pytest.mark.parametrize("folder", [ALANINE, CHARGED], ids=lambda folder: folder.name)

Frame = dict[str, Any]
SHAPES: dict[str, Callable[[int], tuple[int, ...]]] = {
    "coordinates": lambda n: (n, 3),
    "atomic_numbers": lambda n: (n,),
    "forces": lambda n: (n, 3),
    "atomic_charges": lambda n: (n,),
    "dipole": lambda n: (3,),
}
needs_tblite = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("rdkit", "tblite")),
    reason="needs rdkit and tblite: pip install -e .[make]",
)


def load(folder: Path) -> list[Frame]:
    with (folder / "dataset.pkl").open("rb") as file:
        frames: list[Frame] = pickle.load(file)
    return frames


def energies_of_atoms(folder: Path) -> dict[str, float]:
    with (folder / "atomic_energy.csv").open(newline="") as file:
        return {row["atom_type"]: float(row["atomic_energy"]) for row in csv.DictReader(file)}


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run python with a torch that cannot be imported: the script must not need it, nor load its OpenMP first."""
    (cwd / "no_torch").mkdir()
    (cwd / "no_torch/torch.py").write_text("raise AssertionError('torch was imported')")
    environment = os.environ | {"PYTHONPATH": str(cwd / "no_torch"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100)


def check_format(frames: list[Frame]) -> None:
    """Names, types and shapes, and what holds for every frame whatever the molecule."""
    for frame in frames:
        n, q = frame["number_of_atoms"], frame["total_charge"]
        assert frame.keys() == {"number_of_atoms", "energy", "total_charge", *SHAPES}
        assert (type(n), type(q), type(frame["energy"])) == (int, int, float)
        for name, shape in SHAPES.items():
            assert frame[name].shape == shape(n), name
            assert frame[name].dtype == (np.int64 if name == "atomic_numbers" else np.float64), name
            assert np.isfinite(frame[name]).all(), name
        R, gradient = frame["coordinates"], frame["forces"]
        assert_allclose(frame["atomic_charges"].sum(), q, atol=1e-8)
        assert_allclose(atomic_masses[frame["atomic_numbers"]] @ R, 0, atol=1e-8)
        # neither a shift nor a rotation of the molecule changes the energy
        assert_allclose(gradient.sum(axis=0), 0, atol=1e-6)
        assert_allclose(np.cross(R, gradient).sum(axis=0), 0, atol=1e-5)


@EXAMPLES
def test_example_has_the_documented_format(folder: Path) -> None:
    check_format(load(folder))
    assert (folder / "dataset.pkl").stat().st_size < 4e6


@EXAMPLES
def test_example_holds_nothing_but_arrays_and_builtins(folder: Path) -> None:
    operations = list(pickletools.genops((folder / "dataset.pkl").read_bytes()))
    texts = {str(argument) for operation, argument, _ in operations if operation.name == "SHORT_BINUNICODE"}
    modules = {text for text in texts if text.split(".")[0] in sys.modules}
    assert operations[0][1] == 4
    assert "GLOBAL" not in {operation.name for operation, _, _ in operations}
    assert {module.split(".")[0] for module in modules} == {"numpy"}


def test_alanine_dipeptide_is_that() -> None:
    frames = load(ALANINE)
    assert len(frames) == 1800
    formulas = {tuple(sorted(Counter(frame["atomic_numbers"].tolist()).items())) for frame in frames}
    assert formulas == {((1, 12), (6, 6), (7, 2), (8, 2))}
    assert {frame["total_charge"] for frame in frames} == {0}


def test_charged_molecules_are_many_and_of_every_charge() -> None:
    molecules = {(tuple(frame["atomic_numbers"]), frame["total_charge"]) for frame in load(CHARGED)}
    with (CHARGED / "molecules.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(charge for _, charge in molecules).keys() == {-1, 0, 1}
    assert min(Counter(int(row["charge"]) for row in rows).values()) >= 20
    assert len(load(CHARGED)) == 10 * len(rows)
    # the order of the file: ten frames of each row
    assert [frame["total_charge"] for frame in load(CHARGED)[::10]] == [int(row["charge"]) for row in rows]


@EXAMPLES
def test_energies_are_in_hartree_and_belong_to_the_atomic_energies(folder: Path) -> None:
    atoms, frames = energies_of_atoms(folder), load(folder)
    assert atoms.keys() == {chemical_symbols[z] for frame in frames for z in frame["atomic_numbers"]}
    assert_allclose(atoms["H"], -0.3934827639, atol=1e-9)
    for frame in frames:
        symbols = [chemical_symbols[z] for z in frame["atomic_numbers"]]
        per_atom = (frame["energy"] - sum(atoms[s] for s in symbols)) / len(symbols)
        assert -0.4 < per_atom < -0.03  # bonds: a few eV for each atom


@EXAMPLES
def test_forces_are_gradients_in_hartree_per_angstrom(folder: Path) -> None:
    """Along C-H bonds the gradient grows with the length, by the force constant of the bond: about 5 mdyn/Å."""
    lengths, slopes = [], []
    for frame in load(folder):
        Z, R = frame["atomic_numbers"], frame["coordinates"]
        distances = np.linalg.norm(R[:, None] - R[None], axis=2) + 9 * np.eye(len(Z))
        for h in np.flatnonzero(Z == 1):
            c = distances[h].argmin()
            if Z[c] == 6:
                lengths.append(distances[h, c])
                slopes.append(frame["forces"][h] @ (R[h] - R[c]) / distances[h, c])
    constant, _ = np.polyfit(lengths, slopes, 1)
    mdyn_per_angstrom = 1e-8 / 4.3597447e-18 * 1e-10  # in Hartree/Å²
    assert 3.5 < constant / mdyn_per_angstrom < 6
    assert 1.05 < np.mean(lengths) < 1.15
    assert np.corrcoef(lengths, slopes)[0, 1] > 0.8


@EXAMPLES
def test_dipole_is_near_that_of_the_atomic_charges(folder: Path) -> None:
    """GFN2-xTB adds atomic dipoles to the charges, so the two agree in unit, sign and origin but not to rounding."""
    frames = load(folder)
    dipoles = np.array([frame["dipole"] for frame in frames])
    of_charges = np.array([frame["atomic_charges"] @ frame["coordinates"] for frame in frames])
    (slope,), *_ = np.linalg.lstsq(of_charges.reshape(-1, 1), dipoles.ravel(), rcond=None)
    assert 0.9 < slope < 1.4
    assert np.sqrt(np.mean((dipoles - of_charges) ** 2)) < 0.5 * np.sqrt(np.mean(dipoles**2))


# Reads [[atomic numbers, positions, charge, unpaired electrons], ...] and prints what tblite's own interface finds.
SINGLEPOINTS = """
import json, sys, numpy as np
from ase.units import Bohr
from tblite.interface import Calculator

found = []
for Z, R, charge, unpaired in json.load(sys.stdin):
    calculator = Calculator("GFN2-xTB", np.array(Z), np.array(R) / Bohr, charge=charge, uhf=unpaired)
    calculator.set("verbosity", 0)
    calculator.set("accuracy", 0.01)
    result = calculator.singlepoint()
    found.append([float(result["energy"]), result["charges"].tolist(), (result["dipole"] * Bohr).tolist()])
print(json.dumps(found))
"""


def singlepoints(*questions: tuple[list[int], Any, int, int]) -> list[Any]:
    """Ask tblite, in a process of its own: torch, loaded here, brings another OpenMP."""
    text = json.dumps([(Z, np.asarray(R).tolist(), charge, unpaired) for Z, R, charge, unpaired in questions])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SINGLEPOINTS]
    answer = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(answer.stdout)
    return found


def check_labels(frame: Frame) -> None:
    """Compare with tblite's own interface, the gradient with a central difference of energies."""
    Z, R, q = frame["atomic_numbers"].tolist(), frame["coordinates"], frame["total_charge"]
    step = np.random.default_rng(0).normal(size=R.shape) * 1e-3
    (energy, charges, dipole), (after, *_), (before, *_) = singlepoints(*((Z, R + k * step, q, 0) for k in (0, 1, -1)))
    assert_allclose(frame["energy"], energy, atol=1e-7)
    assert_allclose(frame["atomic_charges"], charges, atol=1e-4)
    assert_allclose(frame["dipole"], dipole, atol=1e-3)
    assert_allclose(2 * np.sum(frame["forces"] * step), after - before, rtol=1e-3)


@needs_tblite
@pytest.mark.parametrize(("folder", "number"), [(ALANINE, 700), (CHARGED, 15), (CHARGED, -5)])
def test_labels_are_those_of_tblite_and_forces_the_derivative(folder: Path, number: int) -> None:
    check_labels(load(folder)[number])


@needs_tblite
@EXAMPLES
def test_atomic_energies_are_those_of_ground_states(folder: Path) -> None:
    unpaired = {"H": 1, "C": 2, "N": 3, "O": 2, "F": 1, "S": 2, "Cl": 1}  # Hund's first rule
    atoms = energies_of_atoms(folder)
    found = singlepoints(*(([chemical_symbols.index(s)], [[0, 0, 0]], 0, unpaired[s]) for s in atoms))
    assert_allclose(list(atoms.values()), [energy for energy, *_ in found], atol=1e-8)


@needs_tblite
def test_makes_a_data_set_and_never_overwrites_it(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("name,molecule,charge,frames\nhydronium,[OH3+],,\nhydroxide,oh.xyz,-1,2\n")
    (tmp_path / "oh.xyz").write_text("2\n\nO 0 0 0\nH 0 0 0.97\n")
    options = ("--frames", "3", "--trajectories", "2", "--equilibrate", "5", "--interval", "2", "--processes", "2")
    command = (SCRIPT, "list.csv", "-o", "out", *options)

    first = python(*command, cwd=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")  # neither a bar, as this is no terminal, nor RDKit's messages
    frames = load(tmp_path / "out")
    check_format(frames)
    check_labels(frames[-1])  # an anion whose file does not have the centre of mass at the origin
    assert [frame["atomic_numbers"].tolist() for frame in frames] == 3 * [[8, 1, 1, 1]] + 2 * [[8, 1]]
    assert [frame["total_charge"] for frame in frames] == [1, 1, 1, -1, -1]
    assert len({frame["energy"] for frame in frames}) == 5  # no trajectory is a copy of another
    assert energies_of_atoms(tmp_path / "out").keys() == {"H", "O"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["atomic_energy.csv", "dataset.pkl"]

    (tmp_path / "out/atomic_energy.csv").unlink()
    before = (tmp_path / "out/dataset.pkl").read_bytes()
    (tmp_path / "no_torch/torch.py").unlink()
    (tmp_path / "no_torch").rmdir()
    second = python(*command, cwd=tmp_path)
    assert second.returncode == 2
    assert second.stderr == f"make_dataset: '{Path('out/dataset.pkl')}' exists and is left alone. " + (
        "Choose another folder with -o.\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset.pkl"]
    assert (tmp_path / "out/dataset.pkl").read_bytes() == before


@pytest.fixture(scope="module")
def make_dataset() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_dataset", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["make_dataset"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def test_says_what_to_install(
    make_dataset: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(make_dataset.importlib.util, "find_spec", lambda name: None)
    assert make_dataset.main(["O", "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "make_dataset: This script needs rdkit and tblite: pip install -e .[make]\n"


@needs_tblite
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,molecule\nx,water.xyzz\n", "'water.xyzz' is neither a SMILES nor the name of an .xyz"),
        (
            "name,molecule,charge\nacetate,CC(=O)[O-],0\n",
            "acetate: the SMILES 'CC(=O)[O-]' has charge -1, but charge +0",
        ),
        ("name,molecule,charge\nx,O,one\n", "x: invalid literal for int() with base 10: 'one'"),
        ("name,molecule,frames\nx,O,-4\n", "x: needs a molecule and at least one frame"),
        ("name,molecule\nx\n", "x: needs a molecule and at least one frame"),
        ("name,smiles\nx,O\n", "the first line must be 'name,molecule[,charge][,frames]'; it has ['name', 'smiles']"),
        ("name,molecule\nx,none.xyz\n", "x: [Errno 2] No such file or directory"),
        ("name,molecule\nx,broken.xyz\n", "x: "),
        (None, "No such file or directory"),
    ],
)
def test_wrong_input_ends_in_one_message(
    make_dataset: ModuleType, text: str | None, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.xyz").write_text("3\n\nO 0 0 0\n")
    if text is not None:
        (tmp_path / "list.csv").write_text(text)
    quick = ["--frames=1", "--equilibrate=0", "--interval=1"]  # should a check be missing
    assert make_dataset.main([str(tmp_path / "list.csv"), "-o", str(tmp_path / "out"), *quick]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", ["--frames=0", "--timestep=nan", "--interval=inf", "--equilibrate=-1", "--seed=-1", "--temperature=0"]
)
def test_wrong_option_is_refused(make_dataset: ModuleType, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        make_dataset.main(["O", option])
    assert end.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_trajectories_take_the_temperatures_in_turn(make_dataset: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[float] = []

    class RecordedError(Exception):
        pass

    def langevin(*_: object, temperature_K: float, **__: object) -> None:
        found.append(temperature_K)
        raise RecordedError

    monkeypatch.setattr(make_dataset, "Langevin", langevin)
    monkeypatch.setattr(make_dataset, "gfn2", lambda charge, unpaired: EMT())
    options = make_dataset.parse_arguments(["H2", "--trajectories", "3", "--temperature", "500", "1000"])
    hydrogen = make_dataset.Molecule("H2", 0, 3, [Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])] * 3)
    for k in range(3):
        with pytest.raises(RecordedError):
            make_dataset.sample(hydrogen, k, np.random.SeedSequence(0), options)
    assert found == [500, 1000, 500]
