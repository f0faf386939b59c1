"""pyg-nnp init."""

import pickle
from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
import pytest
import yaml
from ase.build import molecule
from command_line import MODEL, refused, toy_arrays

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.commands.info import describe
from pyg_nnp.commands.init import first_config
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/alanine_dipeptide"


def as_pickle(arrays: dict[str, Any]) -> str:
    return "dataset.pkl"


def as_npz(arrays: dict[str, Any]) -> str:
    np.savez(
        "mine.npz",
        n_atoms=arrays["N"],
        xyz=arrays["Ra"],
        species=arrays["Za"],
        dft_energy=arrays["E"],
        grad=arrays["Fa"],
    )
    return "mine.npz"


def as_hdf5(arrays: dict[str, Any]) -> str:
    with h5py.File("mine.h5", "w") as file:
        ends = np.cumsum(arrays["N"])
        for frame, (first, last) in enumerate(zip(ends - arrays["N"], ends, strict=True)):
            group = file.create_group(f"frame{frame}")
            for name, source in (("Ra", "coord"), ("Za", "numbers"), ("Fa", "Forces")):
                group[source] = arrays[name][first:last]
            group["E"] = arrays["E"][frame]
    return "mine.h5"


def as_xyz(arrays: dict[str, Any]) -> str:
    cli.main(["predict", MODEL, "dataset.pkl", "-o", "mine.xyz"])
    return "mine.xyz"


@pytest.mark.parametrize("write", [as_pickle, as_npz, as_hdf5, as_xyz])
def test_init_writes_what_trains(
    trained_folder: Path, tmp_path: Path, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a data file with names of its own to a configuration that reads it, whose units were recognised."""
    data = write(toy_arrays())
    file = tmp_path / "init.yaml"
    capsys.readouterr()
    assert cli.main(["init", data, "-o", str(file)]) == 0
    told = capsys.readouterr().out
    assert f"{data} seems to have:" in told
    assert ("Fa are taken for gradients" in told) == (data == "mine.npz")
    assert f"energies are in {'eV' if data == 'mine.xyz' else 'Hartree'}" in told
    if data == "mine.npz":
        assert "E: dft_energy (total energy" in told
    assert "already" in refused(capsys, "init", data, "-o", str(file))
    config = pyg_nnp.load_config(file)
    hub = config.Datahub
    assert set(hub.targets) >= {"E", "Fa"}
    assert hub.transforms.negative_gradient == (data == "mine.npz")
    model = config.Modelhub.internal_FFs["FF01"]
    assert model.build_params["Bohr_in_R"] == pytest.approx(BOHR_IN_ANGSTROM)
    # energies of the toy are nearly those of all electrons
    assert model.build_params["Hartree_in_E"] == pytest.approx(HARTREE_IN_EV if data == "mine.xyz" else 1.0)
    document = yaml.safe_load(file.read_text().replace("5e-3", "0.005"))
    document["Trainer"] |= {"max_epochs": 1, "batch_size": 5}
    model_document = document["Modelhub"]["FF01"]
    model_document["build_params"] |= {"dim_embedding": 8, "num_rbf": 8}
    model_document["layers"][3]["params"] = {"num_interactions": 1, "hidden_channels": 8}
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(document))
    assert cli.main(["train", str(short), "-o", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("positions", "energies", "bohr", "hartree"),
    [
        ("xyz", "energy", BOHR_IN_ANGSTROM, 1.0),
        ("xyz_bohr", "energy_eV", 1.0, HARTREE_IN_EV),
        ("coords (nm)", "E [kcal/mol]", BOHR_IN_ANGSTROM / 10, HARTREE_IN_KCAL_PER_MOL),
    ],
)
def test_init_takes_units_from_names(
    positions: str, energies: str, bohr: float, hartree: float, tmp_path: Path
) -> None:
    arrays = {positions: np.random.default_rng(0).normal(size=(4, 3, 3)), "elements": [29] * 3, energies: np.ones(4)}
    np.savez(tmp_path / "copper.npz", **arrays)
    text, _ = first_config(tmp_path / "copper.npz", {"Ra": positions, "E": energies})
    assert f"Bohr_in_R: {bohr:.9g} " in text
    assert f"Hartree_in_E: {hartree:.9g} " in text
    assert ("not to be told" in text) == (positions == "xyz")


def test_init_knows_a_slope_by_its_name(trained_folder: Path, tmp_path: Path) -> None:
    arrays = toy_arrays()
    first = int(arrays["N"][0])
    file = tmp_path / "slopes.npz"
    np.savez(
        file,
        geometry=np.stack([arrays["Ra"][:first]] * 4),
        species=arrays["Za"][:first],
        E_el=np.arange(4.0),
        dEdx=np.ones((4, first, 3)),
        partial_q=np.ones((4, first)) * 0.1,
    )
    text, guesses = first_config(file, {})
    for name, source in (("Ra", "geometry"), ("Za", "species"), ("E", "E_el"), ("Fa", "dEdx"), ("Qa", "partial_q")):
        assert f"    {name}: {source}  # " in text
    assert "negative_gradient: true  # dEdx are gradients, not forces. CHECK: by the name" in text
    assert "dEdx: (4, 3, 3) float64  probably Fa, gradients, minus the forces" in describe(file)
    assert "Fa are taken for gradients, minus the forces" in guesses


@pytest.mark.parametrize("hartree", [1.0, 27.2114, 627.509])
def test_init_knows_the_unit_of_valence_energies_by_the_stiffness_of_bonds(tmp_path: Path, hartree: float) -> None:
    """GFN2-xTB gives a tenth of an all-electron energy, which could be that of other elements in another unit."""
    with (EXAMPLE / "dataset.pkl").open("rb") as file:
        frames = pickle.load(file)[:100]
    arrays = {name: np.array([frame[name] for frame in frames]) for name in ("coordinates", "atomic_numbers")}
    arrays |= {name: hartree * np.array([frame[name] for frame in frames]) for name in ("energy", "forces")}
    np.savez(tmp_path / "valence.npz", **arrays)
    text, guesses = first_config(tmp_path / "valence.npz", {})
    found = yaml.safe_load(text)["Modelhub"]["FF01"]["build_params"]["Hartree_in_E"]
    assert found == pytest.approx(hartree, rel=1e-5)
    assert ": guessed from the stiffness of bonds of hydrogen" in guesses[-1]


def test_an_array_that_is_mapped_is_not_guessed_to_be_another(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", coordinates=np.zeros((5, 2, 3)), Z=np.ones((5, 2), dtype=int), E=np.zeros(5))
    with pytest.raises(DataError, match="none of these look like positions"):
        first_config(tmp_path / "odd.npz", {"Fa": "coordinates"})


def test_init_knows_elements_by_their_shape(tmp_path: Path) -> None:
    file = tmp_path / "odd_names.npz"
    labels = {
        "quality": np.ones(40, dtype=np.int64),
        "k": np.tile([8, 1, 1], (40, 1)),
        "e_tot": np.linspace(-76, -75, 40),
    }
    np.savez(file, pos=np.random.default_rng(0).normal(size=(40, 3, 3)), **labels)
    text, _ = first_config(file, {})
    assert "    Za: k  # " in text
    assert "negative_gradient" not in text


def test_init_knows_short_names_and_asks_for_forces(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {"cart_xyz": random.normal(size=(4, 3, 3)), "nuclear_charges": [8, 1, 1], "etot": -76 + random.random(4)}
    labels = {"frc": random.normal(size=(4, 3, 3)), "mu": random.normal(size=(4, 3))}
    np.savez(tmp_path / "short.npz", **arrays, **labels)
    text, guesses = first_config(tmp_path / "short.npz", {})
    for line in ("Ra: cart_xyz", "E: etot", "Fa: frc", "M2: mu"):
        assert f"    {line}  # " in text
    assert not any("no forces" in guess for guess in guesses)
    np.savez(tmp_path / "odd.npz", **arrays, push=labels["frc"])
    _, guesses = first_config(tmp_path / "odd.npz", {})
    assert guesses[guesses.index("not used: push") + 1].startswith("no forces were recognised")


def test_mistakes_in_init(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "odd.npz", a=np.zeros((5, 3, 3)), b=np.zeros((5, 3, 3)), c=np.zeros(5))
    odd, out = str(tmp_path / "odd.npz"), str(tmp_path / "init.yaml")
    assert "none of these look like positions" in refused(capsys, "init", odd, "-o", out)
    assert "no standard name. Did you mean 'Ra'?" in refused(capsys, "init", odd, "-o", out, "--map", "ra=a")
    assert "Did you mean Ra=a?" in refused(capsys, "init", odd, "-o", out, "--map", "a=Ra")
    twice = ("--map", "Ra=a", "--map", "Fa=a")
    assert "--map Fa=a: a is mapped to another name, too" in refused(capsys, "init", odd, "-o", out, *twice)
    assert "none of these look like atomic numbers" in refused(capsys, "init", odd, "-o", out, "--map", "Ra=a")
    assert not Path(out).exists()


def ions(positions: np.ndarray, charges: list[float], **labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return arrays of water, with energies that differ by 8 eV for each unit of charge."""
    n = len(charges)
    energies = -2080.0 + positions.std(axis=(1, 2)) + 8.0 * np.array(charges)
    return {"R": positions, "z": np.array([[8, 1, 1]] * n), "E": energies, "charge": np.array(charges), **labels}


def waters(count: int) -> np.ndarray:
    R = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    return R + np.random.default_rng(0).normal(scale=0.03, size=(count, 3, 3))


@pytest.mark.parametrize(
    ("charges", "differ"),
    [
        ([0, 1, 1, 0], True),
        ([0] * 1500 + [-1], True),  # the first frames do not decide
        ([0.0, 2.0], True),
        ([1, 1, 1], False),
        ([0, 0, 0], False),
    ],
)
def test_init_lets_the_model_read_charges_that_differ(tmp_path: Path, charges: list[float], differ: bool) -> None:
    R = waters(len(charges))
    for labels in ({}, {"dipole": R.mean(axis=1), "F": np.zeros(R.shape)}):
        np.savez(tmp_path / "ions.npz", **ions(R, charges, **labels))
        text, guesses = first_config(tmp_path / "ions.npz", {})
        names = [entry["name"] for entry in yaml.safe_load(text)["Modelhub"]["FF01"]["layers"]]
        assert ("ChargeEmbedding" in names) == differ
        assert any("total charges differ" in guess for guess in guesses) == differ
        if differ:
            assert names.index("RandomAtomEmbedding") < names.index("ChargeEmbedding") < names.index("Core")
        assert ("ElectrostaticEnergy" in names) == ("dipole" in labels)


def test_energies_of_two_charges_differ_after_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the file that init writes, unchanged but for its length; each geometry has both charges."""
    monkeypatch.chdir(tmp_path)
    atoms = molecule("H2O")
    frames = []
    for seed in range(30):
        for charge in (0, 1):
            moved = atoms.copy()
            moved.rattle(0.05, seed=seed)
            moved.info |= {"REF_energy": -2079.0 + moved.positions.std() + 8.0 * charge, "total_charge": charge}
            frames.append(moved)
    ase.io.write("mine.xyz", frames, format="extxyz")
    assert cli.main(["init", "mine.xyz"]) == 0
    text = Path("train.yaml").read_text().replace("max_epochs: 100", "report: false\n  max_epochs: 2")
    Path("train.yaml").write_text(text)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    assert "makes no difference to what FF01 predicts" not in capsys.readouterr().err
    atoms.calc = PotentialCalculator("out/FF01-SchNet")
    energies = []
    for charge in (0, 1):
        atoms.info["charge"] = charge
        energies.append(atoms.get_potential_energy())
    assert energies[1] - energies[0] == pytest.approx(8.0, abs=0.8)
    assert "which make no difference" not in describe(Path("out/FF01-SchNet"))
