"""What a data file is taken for in the configuration that init writes."""

import pickle
import re
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import toy_arrays

import pyg_nnp
from pyg_nnp.commands.info import describe
from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/alanine_dipeptide"


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
    assert "Fa are taken for gradients, minus the forces, by the name" in guesses


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


def database(folder: Path, **results: Any) -> Path:
    """Write an ASE database of 12 water molecules with results of a calculator, which may be functions of them."""
    file = folder / "mine.db"
    with ase.db.connect(file) as rows:
        for seed in range(12):
            atoms = ase_molecule("H2O")
            atoms.rattle(0.05, seed=seed)
            values = {name: value(atoms) if callable(value) else value for name, value in results.items()}
            atoms.calc = SinglePointCalculator(atoms, **values)
            rows.write(atoms)
    return file


def of_config(text: str) -> dict[str, str]:
    hub = yaml.safe_load(text)["Datahub"]
    return {**hub["features"], **(hub["targets"] or {})}


def test_shapes_of_one_frame_are_no_dipole_moment(tmp_path: Path) -> None:
    """The cell of an ASE database of water is (3, 3), which is (3,) after an axis of frames that there is not."""
    file = database(tmp_path, energy=-76.0, forces=lambda atoms: atoms.positions * 0.1)
    text, guesses = first_config(file, {})
    names = {"N": "natoms", "Ra": "positions", "Za": "symbols", "E": "energy", "Fa": "forces"}
    assert of_config(text) == names
    assert not any("cell" in guess for guess in guesses)


def test_energies_of_atoms_and_stress_are_no_energy(tmp_path: Path) -> None:
    file = database(tmp_path, energies=lambda atoms: np.ones(len(atoms)), stress=np.ones(6), dipole=np.ones(3))
    text, guesses = first_config(file, {})
    assert of_config(text).keys() & {"E", "Fa", "M2"} == {"M2"}
    assert "no total energies were recognised: if an array above holds them, say --map E=NAME" in guesses


def npz(folder: Path, **more: Any) -> Path:
    random = np.random.default_rng(0)
    arrays = {"pos": random.normal(size=(40, 3, 3)), "Z": [8, 1, 1], "energy": -76 + random.random((40, 1))}
    np.savez(folder / "mine.npz", **arrays | more)
    return folder / "mine.npz"


@pytest.mark.parametrize(
    "more",
    [
        # one for all frames, as many rows as a vector has numbers
        {"cell": 30 * np.eye(3), "pbc": np.zeros(3, dtype=bool)},
        # of all frames, but by its name something else
        {"velocities": np.ones((40, 3, 3)), "box_lengths": np.ones((40, 3))},
        # a number of atoms, or of anything, and not of frames
        {"masses": np.ones(3), "grid": np.ones((17, 3))},
        # text
        {"energies": np.array(["a"] * 40), "forces": np.array([["a"] * 3] * 40)},
    ],
)
def test_a_shape_needs_the_number_of_frames(more: dict[str, Any], tmp_path: Path) -> None:
    text, _ = first_config(npz(tmp_path, **more), {})
    assert of_config(text) == {"Ra": "pos", "Za": "Z", "E": "energy"}


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    """The energy of a later frame is a word, and forces of one atom too many are in another."""
    frames = [ase_molecule("H2O") for _ in range(5)]
    for frame in frames:
        frame.info["dft_energy"] = -76.0
        frame.arrays["forces"] = frame.positions
    frames[3].info["dft_energy"] = "failed"
    ase.io.write(tmp_path / "mine.xyz", frames, format="extxyz")
    text, guesses = first_config(tmp_path / "mine.xyz", {})
    assert of_config(text).keys() & {"E", "Fa"} == {"Fa"}
    # nor is it periodic because of that
    assert not of_config(text).keys() & {"cell", "pbc"}
    (told,) = [guess for guess in guesses if guess.startswith("E was not taken")]
    assert "frame 3: 'dft_energy' (E) holds text, such as 'failed', where numbers are" in told
    assert f"# {told}" in text
    with pytest.raises(DataError, match=r"frame 3: 'dft_energy' \(E\) holds text"):
        first_config(tmp_path / "mine.xyz", {"E": "dft_energy"})


@pytest.mark.parametrize(
    ("energy", "why"),
    [
        (np.zeros((40, 3)), "has shape (40, 3), expected (40,)"),
        (np.array(["-76.1"] * 40), "holds text, such as '-76.1', where numbers are expected"),
        (np.zeros(40, dtype=complex), "holds complex numbers where numbers are expected"),
    ],
)
def test_energies_that_cannot_be_read_are_told(energy: np.ndarray, why: str, tmp_path: Path) -> None:
    text, guesses = first_config(npz(tmp_path, energy=energy, forces=np.ones((40, 3, 3))), {})
    assert of_config(text) == {"Ra": "pos", "Za": "Z", "Fa": "forces"}
    assert f"E was not taken: 'energy' (E) {why}." in guesses
    _, guesses = first_config(npz(tmp_path, energy=energy, forces=np.ones((40, 3, 3))), {"E": ""})
    assert not any("was not taken" in guess for guess in guesses)


def test_an_energy_that_is_there_twice_is_told(tmp_path: Path) -> None:
    frame = "2\nProperties=species:S:1:pos:R:3:forces:R:3 energy={} energy=2\nH 0 0 0 0 0 1\nH 0 0 1 0 0 -1\n"
    (tmp_path / "a.xyz").write_text("".join(frame.format(number) for number in (1.5, 2.5)))
    text, guesses = first_config(tmp_path / "a.xyz", {})
    assert of_config(text).keys() & {"E", "Fa"} == {"Fa"}
    what = "frame 0: 'energy' (E) is there twice, with different values. Remove or rename one."
    assert f"E was not taken: {what}" in guesses


def test_names_without_end_are_not_all_shown(tmp_path: Path) -> None:
    """A number in the comment of an XYZ file is a name."""
    frame = "2\n{0}.25 energy={0}\nH 0 0 0\nH 0 0 1\n"
    (tmp_path / "a.xyz").write_text("".join(frame.format(number) for number in range(200)))
    text, guesses = first_config(tmp_path / "a.xyz", {})
    (unused,) = [guess for guess in guesses if guess.startswith("not used")]
    assert "0.25, " in unused
    assert re.search(r" and 1\d\d more$", unused)
    assert max(map(len, text.splitlines())) < 1000


def test_labels_that_are_none_in_arrays_of_objects_are_missing(tmp_path: Path) -> None:
    energies = np.array([None, *np.linspace(-76, -75, 39)], dtype=object)
    dipoles = np.empty(40, dtype=object)
    dipoles[3:] = [np.ones(3) * number for number in range(37)]
    text, guesses = first_config(npz(tmp_path, energy=energies, dipole=dipoles), {})
    assert of_config(text) == {"Ra": "pos", "Za": "Z", "E": "energy", "M2": "dipole"}
    assert yaml.safe_load(text)["Datahub"]["allow_missing"] == ["E", "M2"]
    assert {"E is missing in 1 of 40 frames", "M2 is missing in 3 of 40 frames"} <= {*guesses}


@pytest.mark.parametrize(("of_cation", "is_charge"), [("+1", True), ("[OH2+]", True), ("RESP", False)])
def test_total_charges_as_text(tmp_path: Path, of_cation: str, is_charge: bool) -> None:
    text, guesses = first_config(npz(tmp_path, charge=np.array(["0", of_cation] * 20)), {})
    assert ("Q" in of_config(text)) == is_charge
    assert ("total charges differ, so the model has the layer ChargeEmbedding" in guesses) == is_charge
    assert any("Q was not taken: frame 1: 'charge' (Q) has 'RESP'" in guess for guess in guesses) != is_charge


def test_without_labels_a_file_is_written_that_asks_for_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", pos=np.random.default_rng(0).normal(size=(40, 3, 3)), Z=[8, 1, 1], label=["a"] * 40)
    text, guesses = first_config(tmp_path / "bare.npz", {})
    assert "  targets: {}  # CHECK: no labels were recognised." in text
    assert "no forces were recognised: if an array above holds them, say --map Fa=NAME" in guesses
    (tmp_path / "init.yaml").write_text(text)
    with pytest.raises(ConfigError, match="at least one target is needed"):
        pyg_nnp.load_config(tmp_path / "init.yaml")
    (tmp_path / "init.yaml").write_text(text.replace("targets: {}", "targets: {E: label}"))
    assert pyg_nnp.load_config(tmp_path / "init.yaml").Datahub.targets == {"E": "label"}


def with_isolated_atoms(folder: Path, symbols: str, **names: str) -> Path:
    """Write water with energies and forces after isolated atoms without forces, as MACE and GAP have them."""
    energy, forces = names.get("energy", "REF_energy"), names.get("forces", "REF_forces")
    frames = [Atoms(symbol, info={energy: -10.0, "config_type": "IsolatedAtom"}) for symbol in symbols]
    for seed in range(20):
        atoms = ase_molecule("H2O")
        atoms.rattle(0.05, seed=seed)
        atoms.info |= {energy: -35.0 - 0.01 * seed, "config_type": "md"}
        atoms.arrays[forces] = 0.1 * atoms.positions
        frames.append(atoms)
    ase.io.write(folder / "mine.xyz", frames, format="extxyz")
    return folder / "mine.xyz"


@pytest.mark.parametrize("names", [{}, {"energy": "dft_energy", "forces": "dft_forces"}])
def test_isolated_atoms_at_the_beginning(names: dict[str, str], tmp_path: Path) -> None:
    text, guesses = first_config(with_isolated_atoms(tmp_path, "HO", **names), {})
    assert {"E", "Fa"} <= of_config(text).keys()
    assert "    atomic_energy: isolated  # energies of isolated atoms" in text
    assert "2 of 22 frames are isolated atoms: reference energies, and in no part" in guesses
    # what isolated atoms lack is not missing
    assert "allow_missing" not in text


def test_isolated_atoms_among_the_frames_may_lack_labels(tmp_path: Path) -> None:
    """Those that do not give reference energies are frames like all others."""
    text, guesses = first_config(with_isolated_atoms(tmp_path, "H"), {})
    assert yaml.safe_load(text)["Datahub"]["allow_missing"] == ["Fa"]
    assert "Fa is missing in 1 of 21 frames" in guesses


def test_atomic_numbers_are_no_charges(tmp_path: Path) -> None:
    """As revQM9 has them, in arrays of objects."""
    some = [ase_molecule(name) for name in ("H2O", "CH4") * 10]

    def of_objects(values: list[Any]) -> Any:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    np.savez(
        tmp_path / "some.npz",
        coords=of_objects([atoms.positions for atoms in some]),
        charges=of_objects([atoms.numbers for atoms in some]),
        elements=of_objects([np.array(atoms.get_chemical_symbols()) for atoms in some]),
        energies=np.linspace(-76, -75, len(some)),
    )
    text, guesses = first_config(tmp_path / "some.npz", {})
    assert of_config(text) == {"Ra": "coords", "Za": "elements", "E": "energies"}
    assert "Qa was not taken: 'charges' are the atomic numbers" in guesses


def test_isolated_atoms_are_no_other_total_charge(tmp_path: Path) -> None:
    """Ions with neutral atoms for reference energies: all that a model learns from has one charge."""
    frames = ase.io.read(with_isolated_atoms(tmp_path, "HO"), index=":")
    for frame in frames:
        frame.info["charge"] = int(len(frame) > 1)
    for symbols, has_layer in (("HO", False), ("O", True)):
        kept = [frame for frame in frames if len(frame) > 1 or str(frame.symbols) in symbols]
        ase.io.write(tmp_path / "ions.xyz", kept, format="extxyz")
        text, guesses = first_config(tmp_path / "ions.xyz", {})
        assert ("ChargeEmbedding" in text) == has_layer
        assert any("total charges differ" in guess for guess in guesses) == has_layer


def test_isolated_atoms_of_some_elements(tmp_path: Path) -> None:
    text, guesses = first_config(with_isolated_atoms(tmp_path, "H"), {})
    assert "    atomic_energy: fit " in text
    assert "1 of 21 frames are isolated atoms, but none is O: reference energies are fitted to all frames" in guesses


@pytest.mark.parametrize(("spins", "is_told"), [([1, 3], True), ([1, 1], False)])
def test_spins_that_nothing_reads_are_a_warning(spins: list[int], is_told: bool, tmp_path: Path) -> None:
    """Those of isolated atoms say nothing of the molecules."""
    frames = ase.io.read(with_isolated_atoms(tmp_path, "O"), ":")
    for number, frame in enumerate(frames):
        frame.info["spin"] = 5 if len(frame) == 1 else spins[number % 2]
    ase.io.write(tmp_path / "mine.xyz", frames, format="extxyz")
    _, guesses = first_config(tmp_path / "mine.xyz", {})
    warning = f"Warning: {tmp_path / 'mine.xyz'}: 'spin' differs between frames (1, 3), but makes no difference"
    assert any(guess.startswith(warning) for guess in guesses) == is_told
    assert any(guess.startswith("Warning") for guess in guesses) == is_told


def test_labels_that_some_frames_lack_are_allowed_to_be_missing(tmp_path: Path) -> None:
    frames = [ase_molecule("H2O") for _ in range(8)]
    for number, frame in enumerate(frames):
        frame.rattle(0.05, seed=number)
        frame.info["REF_energy"] = -76.0
        if number > 2:
            frame.arrays["REF_forces"] = 0.1 * frame.positions
    ase.io.write(tmp_path / "mine.xyz", frames, format="extxyz")
    text, guesses = first_config(tmp_path / "mine.xyz", {})
    assert "  allow_missing: [Fa]  # missing: Fa in 3 of 8 frames" in text
    assert "Fa is missing in 3 of 8 frames" in guesses


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


def written_loss(path: Path) -> dict[str, dict[str, float]]:
    """Return the loss that init writes, as the configuration is read."""
    text, _ = first_config(path, {})
    path.with_suffix(".yaml").write_text(text)
    return pyg_nnp.load_config(path.with_suffix(".yaml")).Modelhub.internal_FFs["FF01"].loss


@pytest.mark.parametrize(("length", "weight"), [(1.0, 20.0), (1 / BOHR_IN_ANGSTROM, 40.0)])
def test_weights_are_relative_to_the_forces(tmp_path: Path, length: float, weight: float) -> None:
    """Forces of 0.05 Hartree/Å: 1 / 0.05 in their unit, and of energies a hundredth of 1 / (0.05 Hartree/Å · 1 Å)."""
    R, signs = waters(40) * length, np.random.default_rng(1).choice([-1.0, 1.0], size=(40, 3, 3))
    arrays = {"R": R, "z": [8, 1, 1], "E": -76.0 + waters(40).std(axis=(1, 2)), "F": 0.05 / length * signs}
    np.savez(tmp_path / "mine.npz", **arrays, r_unit="Angstrom" if length == 1 else "Bohr")
    # a digit each
    assert written_loss(tmp_path / "mine.npz") == {"l2norm": {"Fa": weight}, "mae_per_atom": {"E": 0.2}}


def test_weights_without_forces(tmp_path: Path) -> None:
    """Energies alone count by their spread per atom: of three atoms, 0.06 up and down is 0.02."""
    E = -76.0 + 0.06 * np.resize([-1.0, 1.0], 40)
    np.savez(tmp_path / "mine.npz", R=waters(40), z=[8, 1, 1], E=E)
    assert written_loss(tmp_path / "mine.npz") == {"mae_per_atom": {"E": 50.0}}


def test_weights_without_energies(tmp_path: Path) -> None:
    R = waters(40)
    np.savez(tmp_path / "mine.npz", R=R, z=[8, 1, 1], F=np.full(R.shape, 0.05))
    assert written_loss(tmp_path / "mine.npz") == {"l2norm": {"Fa": 20.0}}
    np.savez(tmp_path / "still.npz", R=R, z=[8, 1, 1], F=np.zeros(R.shape), E=np.full(40, -76.0))
    # nothing to be relative to
    assert written_loss(tmp_path / "still.npz") == {"l2norm": {"Fa": 1.0}, "mae_per_atom": {"E": 1.0}}


def test_charges_and_dipoles_have_the_weights_of_their_spread(tmp_path: Path) -> None:
    R = waters(40)
    charges = np.array([-0.8, 0.4, 0.4]) + 0.1 * np.resize([-1.0, 1.0], (40, 1))
    np.savez(tmp_path / "mine.npz", R=R, z=[8, 1, 1], charges=charges, dipole=2.0 * np.ones((40, 3)))
    assert written_loss(tmp_path / "mine.npz") == {"rmse": {"Qa": 5.0, "M2": 0.5, "Q": 1.0}}


def test_schnet_has_the_weights_of_the_spreads(tmp_path: Path) -> None:
    R = waters(40)
    F, E = np.full(R.shape, 0.05), -76.0 + 0.05 * np.resize([-1.0, 1.0], 40)
    np.savez(tmp_path / "mine.npz", R=R, z=[8, 1, 1], F=F, E=E)
    model = yaml.safe_load(first_config(tmp_path / "mine.npz", {}, "SchNet")[0])["Modelhub"]["FF01"]
    assert model["architecture"] == "SchNet"
    assert model["loss"] == {"rmse": {"E": 2, "Fa": 40}}
    assert [entry["name"] for entry in model["layers"]][3:5] == ["Core", "AtomicAffine"]


def test_virials_and_stress_in_one_name_are_a_stress(tmp_path: Path) -> None:
    for number in range(3):
        atoms = ase_molecule("H2O", cell=[9, 9, 9], pbc=True)
        atoms.info |= {"virial_stress": np.arange(9.0) + number, "energy": float(number)}
        ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz", append=True)
    # a name that the user says leaves the guesses of all others
    for mapping in ({}, {"cell": "cell"}):
        text, _ = first_config(tmp_path / "a.xyz", mapping)
        assert re.search(r"\n    S: virial_stress  # stress, .* CHECK: taken for a stress; virials need a name", text)
        assert "\n    pbc: pbc  #" in text


@pytest.mark.parametrize("cell", [[9.0, 8, 7], [9.0, 8, 7, 90, 90, 90], np.diag([9.0, 8, 7]).ravel(), 9.0])
def test_init_knows_cells_in_any_form(tmp_path: Path, cell: Any) -> None:
    arrays = {"R": np.random.default_rng(0).normal(size=(4, 3, 3)), "z": [29] * 3, "E": np.ones(4)}
    np.savez(tmp_path / "crystals.npz", **arrays, unit_cell=[cell] * 4, pbc=[True] * 4)
    text, _ = first_config(tmp_path / "crystals.npz", {})
    assert "\n    cell: unit_cell  #" in text
    assert "\n    pbc: pbc  #" in text
    np.savez(tmp_path / "molecules.npz", **arrays, unit_cell=[cell] * 4)
    text, guesses = first_config(tmp_path / "molecules.npz", {})
    assert "    cell: unit_cell" not in text
    assert any("if these are crystals, say --map cell=unit_cell" in guess for guess in guesses)
