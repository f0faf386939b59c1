"""Models of metatomic have, in ASE, the numbers of our own calculator."""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from engine_systems import OF_MOLECULES, some_of_both
from molecules import BUILD_PARAMS, LAYER_ENTRIES, make_potential

from pyg_nnp.commands import cli
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential

pytest.importorskip("metatensor")
# before metatomic_ase, since PyG is there already
from pyg_nnp.inference.engines.metatomic import Labels, ModelOutput, export

MetatomicCalculator = pytest.importorskip("metatomic_ase").MetatomicCalculator

FULL = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]  # of xx yy zz yz xz xy
OF_CRYSTALS = [entry for entry in LAYER_ENTRIES if entry[0] not in OF_MOLECULES]


def make(architecture: str, is_periodic: bool, dtype: torch.dtype, **of_core: str) -> Potential:
    entries = [*OF_CRYSTALS, ("Stress", {})] if is_periodic else LAYER_ENTRIES
    entries = [(name, {**own, **of_core} if name == "Core" else own) for name, own in entries]
    potential = make_potential(entries, architecture, dtype=dtype).eval()
    potential.spec["build_params"] = BUILD_PARAMS
    # in Hartree, each of its own
    potential.set_references(-0.1 * torch.arange(119, dtype=torch.float64), 0.0)
    return potential


def agree(potential: Potential, structures: list[Atoms], path: Path, charge: float) -> None:
    export(potential, path, charge=charge)
    theirs, ours = MetatomicCalculator(path), PotentialCalculator(potential, charge=charge)
    for atoms in structures:
        theirs.calculate(atoms, ["energy", "forces", "stress"][: 2 + atoms.pbc.all()], ["positions"])
        ours.calculate(atoms)
        assert theirs.results["energy"] == pytest.approx(ours.results["energy"], rel=1e-10)
        # forces of single atoms in cells are 0, and rounding what pairs of them have
        largest = max(np.abs(ours.results["forces"]).max(), 1.0)
        np.testing.assert_allclose(theirs.results["forces"], ours.results["forces"], rtol=0, atol=1e-10 * largest)
        if atoms.pbc.all():
            largest = np.abs(ours.results["stress"]).max()
            np.testing.assert_allclose(theirs.results["stress"], ours.results["stress"], rtol=0, atol=1e-10 * largest)


@pytest.mark.parametrize("charge", [0.0, 1.0])
@pytest.mark.parametrize("is_periodic", [False, True])
@pytest.mark.parametrize("architecture", ["SchNet", "Cartesian", "PaiNN"])
def test_results_are_those_of_the_calculator(
    architecture: str, is_periodic: bool, charge: float, tmp_path: Path
) -> None:
    potential = make(architecture, is_periodic, torch.float64)
    agree(potential, some_of_both()[is_periodic], tmp_path / "model.pt", charge)


@pytest.mark.parametrize("is_periodic", [False, True])
@pytest.mark.parametrize("architecture", ["SchNet", "Cartesian"])
def test_in_single_precision_they_differ_by_rounding(architecture: str, is_periodic: bool, tmp_path: Path) -> None:
    """Energies by less than 1e-6; forces, whose terms cancel in crystals, are as near to the right ones as ours."""
    potential = make(architecture, is_periodic, torch.float32)
    export(potential, tmp_path / "model.pt", charge=1.0)
    of_theirs = MetatomicCalculator(tmp_path / "model.pt")
    ours, right = (PotentialCalculator(potential, charge=1.0, dtype=dtype) for dtype in ("float32", "float64"))
    errors = {of_theirs: 0.0, ours: 0.0}
    for atoms in some_of_both()[is_periodic]:
        forces = right.get_forces(atoms)
        errors = {own: max(error, np.abs(own.get_forces(atoms) - forces).max()) for own, error in errors.items()}
        assert of_theirs.get_potential_energy(atoms) == pytest.approx(ours.get_potential_energy(atoms), rel=1e-6)
    assert errors[of_theirs] < 2 * errors[ours]


def test_molecules_may_be_exported_for_cells(tmp_path: Path) -> None:
    """Of one model, which takes cells, molecules have none."""
    agree(make("Cartesian", True, torch.float64), some_of_both()[0], tmp_path / "model.pt", 0.0)


def test_layers_of_default_models(tmp_path: Path) -> None:
    """Those of ``pyg-nnp init``, for molecules of several charges."""
    place = [name for name, _ in LAYER_ENTRIES].index("RandomAtomEmbedding")
    entries = [("RangeSeparation", {}), ("BesselBasis", {}), LAYER_ENTRIES[place], ("ChargeEmbedding", {})]
    entries += [*LAYER_ENTRIES[place + 1 : -2], ("ZBL", {}), *LAYER_ENTRIES[-2:]]
    potential = make_potential(entries, "Cartesian").eval()
    potential.spec["build_params"] = BUILD_PARAMS
    agree(potential, some_of_both()[0], tmp_path / "model.pt", -1.0)


def test_exact_filters(tmp_path: Path) -> None:
    potential = make("SchNet", True, torch.float64, filters="exact")
    agree(potential, some_of_both()[1][:4], tmp_path / "model.pt", 0.0)


def test_many_systems_and_some_of_their_atoms(tmp_path: Path) -> None:
    potential = make("SchNet", False, torch.float64)
    export(potential, tmp_path / "model.pt", charge=-1.0)
    structures = some_of_both()[0][:3]
    theirs = MetatomicCalculator(tmp_path / "model.pt", check_consistency=True)
    of_atoms = {name: ModelOutput(unit=unit, sample_kind="atom") for name, unit in (("energy", "eV"), ("charge", "e"))}
    found = theirs.run_model(structures, of_atoms)
    samples = found["energy"].block().samples.values
    assert samples.tolist() == [[n, atom] for n, atoms in enumerate(structures) for atom in range(len(atoms))]
    energies, charges = (found[name].block().values[:, 0] for name in of_atoms)
    ours = PotentialCalculator(potential, charge=-1.0)
    for number, atoms in enumerate(structures):
        ours.calculate(atoms)
        own = samples[:, 0] == number
        assert float(energies[own].sum()) == pytest.approx(ours.results["energy"], rel=1e-12)
        np.testing.assert_allclose(charges[own].numpy(), ours.results["charges"], atol=1e-12)
    some = torch.tensor([[0, 1], [2, 0], [2, 3]], dtype=torch.int32)
    whole = {"energy": ModelOutput(unit="eV", sample_kind="system")}
    parts = theirs.run_model(structures, whole, Labels(["system", "atom"], some))["energy"].block()
    expected = [energies[1], 0.0, energies[len(structures[0]) + len(structures[1]) + torch.tensor([0, 3])].sum()]
    np.testing.assert_allclose(parts.values[:, 0].numpy(), np.array([float(one) for one in expected]), rtol=1e-12)


@pytest.fixture
def of_torch_sim(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module of TorchSim, which imports metatrain for checkpoints, and for nothing else."""
    pytest.importorskip("torch_sim")
    if find_spec("metatrain") is None:
        for name in ("metatrain", "metatrain.utils", "metatrain.utils.io"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules["metatrain.utils.io"].load_model = None  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch_sim.models.metatomic")


@pytest.mark.filterwarnings("ignore:`compute_requested_neighbors` is deprecated")
@pytest.mark.parametrize("is_periodic", [False, True])
def test_torch_sim_runs_models(is_periodic: bool, tmp_path: Path, of_torch_sim: Any) -> None:
    potential, systems = make("Cartesian", is_periodic, torch.float64), some_of_both()[is_periodic]
    export(potential, tmp_path / "model.pt", charge=1.0)
    model = of_torch_sim.MetatomicModel(str(tmp_path / "model.pt"), device="cpu")
    results = model(of_torch_sim.ts.io.atoms_to_state(systems, torch.device("cpu"), torch.float64))
    ours, first = PotentialCalculator(potential, charge=1.0), 0
    for number, atoms in enumerate(systems):
        own = slice(first, first := first + len(atoms))
        ours.calculate(atoms)
        np.testing.assert_allclose(float(results["energy"][number]), ours.results["energy"], rtol=1e-10)
        np.testing.assert_allclose(results["forces"][own], ours.results["forces"], atol=1e-10)
        if is_periodic:
            stress = ours.results["stress"][FULL]
            np.testing.assert_allclose(results["stress"][number], stress, atol=1e-10 * abs(stress).max())


@pytest.mark.parametrize("is_periodic", [False, True])
def test_i_pi_runs_models(is_periodic: bool, tmp_path: Path) -> None:
    """By its driver, which says that everything is periodic that has a cell."""
    driver = pytest.importorskip("ipi.pes.metatomic")
    potential = make("Cartesian", True, torch.float64)
    export(potential, tmp_path / "model.pt", charge=1.0)
    ours = PotentialCalculator(potential, charge=1.0)
    # i-PI's unit of forces is not that of energy by that of length
    length, energy, force = (("length", "angstrom"), ("energy", "electronvolt"), ("force", "ev/ang"))
    for atoms in some_of_both()[is_periodic][:4]:
        ase.io.write(tmp_path / "start.xyz", atoms)
        of_ipi = driver.MetatomicDriver(str(tmp_path / "start.xyz"), str(tmp_path / "model.pt"))
        cell, positions = (driver.unit_to_internal(*length, given) for given in (atoms.cell.array.T, atoms.positions))
        E, F, virial, _ = of_ipi(cell, positions)
        ours.calculate(atoms)
        np.testing.assert_allclose(driver.unit_to_user(*energy, E), ours.results["energy"], rtol=1e-10)
        np.testing.assert_allclose(driver.unit_to_user(*force, F), ours.results["forces"], atol=1e-10)
        if is_periodic:
            expected = -atoms.get_volume() * ours.results["stress"][FULL]
            found = driver.unit_to_user(*energy, virial)
            np.testing.assert_allclose(found, expected, atol=1e-10 * abs(expected).max())


def test_what_is_refused_in_a_run(tmp_path: Path) -> None:
    export(make("SchNet", False, torch.float64), tmp_path / "model.pt")
    theirs = MetatomicCalculator(tmp_path / "model.pt")
    molecules, crystals = some_of_both()
    with pytest.raises(torch.jit.Error, match="periodic, but a layer of this potential is exported for molecules"):
        theirs.get_potential_energy(crystals[0])
    molecules[0].positions[1] = molecules[0].positions[2]
    with pytest.raises(torch.jit.Error, match=r"ValueError: the energy is no number. Are two atoms .*\?\n$"):
        theirs.get_potential_energy(molecules[0])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    potential = make("Cartesian", True, torch.float64)
    potential.domain = TrainingDomain(elements=(13, 14), charges=(0.0,))
    (tmp_path / "FF01-Cartesian").mkdir()
    save_potential(potential, tmp_path / "FF01-Cartesian" / "best.safetensors", {})
    arguments = ["export", str(tmp_path / "FF01-Cartesian"), "-o", str(tmp_path / "model.pt")]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'model.pt'}: a model of metatomic, in float64, for total charge 0\n"
    theirs = MetatomicCalculator(tmp_path / "model.pt")
    capabilities = theirs._model.capabilities()
    assert theirs._model.metadata().name == "FF01-Cartesian"
    assert capabilities.atomic_types == [13, 14]
    # two interactions; nothing here depends on all atoms
    assert capabilities.interaction_range == pytest.approx(2 * BUILD_PARAMS["cutoff_sr"])
    copper = some_of_both()[1][1]
    with pytest.raises(ValueError, match="29"):
        theirs.get_potential_energy(copper)
    assert cli.main(arguments) == cli.USER_ERROR
    assert "model.pt: is there already" in capsys.readouterr().err
    if Path("/proc/self").is_dir():  # where nobody can write
        assert cli.main([*arguments[:3], "/proc/model.pt"]) == cli.USER_ERROR
        assert capsys.readouterr().err.startswith("OSError: /proc/model.pt: ")
    with pytest.warns(UserWarning, match="trained on total charges 0, not on 1"):
        export(potential, tmp_path / "charged.pt", charge=1.0)
    with pytest.raises(DataError, match="charge: nan is no total charge"):
        export(potential, tmp_path / "nan.pt", charge=float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli.main([*arguments[:3], str(tmp_path / "again.pt"), "--charge", "1", "--dtype", "float32"]) == 0
    # a message, without the line of code that it comes from
    assert capsys.readouterr().err.startswith("WARNING: the potential was trained on total charges 0, not on 1")
    texts = [MetatomicCalculator(tmp_path / name)._model.metadata().description for name in ("model.pt", "again.pt")]
    assert ["in float64" in texts[0], "in float32" in texts[1]] == [True, True]


def warnings_of(calculator: Any, atoms: Atoms) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calculator.calculate(atoms, ["energy", "forces"], ["positions"])
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("is_periodic", [False, True])
def test_systems_never_seen_are_warned_of_once(is_periodic: bool, tmp_path: Path) -> None:
    potential = make("Cartesian", is_periodic, torch.float64)
    potential.spec["build_params"] = BUILD_PARAMS | {"Bohr_in_R": 1.0}
    ending, other = (" (periodic)", "") if is_periodic else ("", " (periodic)")
    known = ("HO" + ending, "H2O" + ending, "H3O" + other)
    potential.domain = TrainingDomain(
        compositions=known,
        shortest_distances={(1, 8): 0.9 / potential.units.length, (8, 8): 2.0 / potential.units.length},
    )
    export(potential, tmp_path / "model.pt")
    of_composition = f"the potential was trained on {', '.join(known)}, not on another composition"
    water = Atoms("OH2", [[0, 0, 0], [0.95, 0, 0], [0, 0.95, 0]], cell=[9.0, 9.5, 10.0], pbc=is_periodic)
    theirs = MetatomicCalculator(tmp_path / "model.pt")
    assert warnings_of(theirs, water) == []
    if is_periodic:
        # of a cell that is twice as large, and through its faces
        assert warnings_of(theirs, water * (2, 1, 1)) == []
        water.positions[1, 0] = 8.5
        (said,) = warnings_of(theirs, water)
        assert said.endswith(("O-H 50 pm (90 pm there).", "H-O 50 pm (90 pm there)."))
        theirs, water.positions[1, 0] = MetatomicCalculator(tmp_path / "model.pt"), 0.95
    water.positions[1, 0] = 0.8
    (said,) = warnings_of(theirs, water)
    assert said.startswith("atoms come closer than in the training data, where")
    assert said.endswith(("O-H 80 pm (90 pm there).", "H-O 80 pm (90 pm there)."))
    water.positions[1, 0] = 0.7
    assert warnings_of(theirs, water) == []
    (said,) = warnings_of(theirs, water + Atoms("H", [[0, 0, 2.0]]))
    assert said.startswith(of_composition)
    assert warnings_of(theirs, water + Atoms("H", [[0, 0, 2.1]])) == []
    stretched = Atoms("OH2", 1.89 * np.array([[0, 0, 0], [0.9, 0, 0], [0, 0.95, 0]]), cell=water.cell, pbc=is_periodic)
    other_kind = MetatomicCalculator(tmp_path / "model.pt")
    far = "no atoms are as near as in the training data (1.89"
    for atoms, expected in ((water, "atoms come closer than"), (stretched, far)):
        for calculator in (other_kind, MetatomicCalculator(tmp_path / "model.pt")):
            (said,) = warnings_of(calculator, atoms)
            assert said.startswith(expected)
        assert warnings_of(other_kind, atoms) == []
    # an error alone
    stretched.positions[1] = stretched.positions[0]
    theirs = MetatomicCalculator(tmp_path / "model.pt")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(torch.jit.Error, match="Are two atoms at the same place"):
            theirs.get_potential_energy(stretched)
    assert [str(warning.message) for warning in caught] == []
