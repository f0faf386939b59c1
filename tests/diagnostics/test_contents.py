"""What the arrays of a data file are."""

from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from pyg_nnp.config import load_config
from pyg_nnp.data.formats import ase_files
from pyg_nnp.diagnostics import contents
from pyg_nnp.diagnostics.first_config import first_config


def test_names_of_late_frames_are_seen_and_frames_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    for seed in range(12):
        atoms = molecule("H2O")
        atoms.rattle(0.05, seed=seed)
        atoms.info["REF_energy"] = -76.0 - seed
        if seed > 8:
            atoms.arrays["REF_forces"] = atoms.positions
        frames.append(atoms)
    ase.io.write(tmp_path / "some.xyz", frames, format="extxyz")
    monkeypatch.setattr(contents, "_FRAMES", 4)
    read: list[int] = []
    original = ase_files._xyz_frame

    def counted(path: Path, frame: int, lines: list[str]) -> Any:
        read.append(frame)
        return original(path, frame, lines)

    monkeypatch.setattr(ase_files, "_xyz_frame", counted)
    found = contents.contents_of(tmp_path / "some.xyz", {})
    assert {"E": "REF_energy", "Fa": "REF_forces"}.items() <= found.sources.items()
    assert found.frames.labelled == {"E": 12, "Fa": 3}
    # forces are in none of the first frames: once more for them
    assert read == [*range(4), *range(12), *range(12)]
    read.clear()
    for atoms in frames:
        atoms.arrays["REF_forces"] = atoms.positions
    ase.io.write(tmp_path / "some.xyz", frames, format="extxyz")
    contents.contents_of(tmp_path / "some.xyz", {})
    assert read == [*range(4), *range(12)]


def water(number: int, **cell: Any) -> Atoms:
    atoms = molecule("H2O", **cell)
    atoms.rattle(0.05, seed=number)
    atoms.info["energy"] = -2080.0 - number
    atoms.arrays["forces"] = atoms.positions - atoms.positions.mean(axis=0)
    return atoms


def of_config(frames: list[Atoms], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the data of the configuration that init writes, which train takes, and what init says."""
    ase.io.write(folder / "some.xyz", frames, format="extxyz")
    text, said = first_config(folder / "some.xyz", {})
    (folder / "train.yaml").write_text(text)
    return load_config(folder / "train.yaml").Datahub.model_dump(), said


@pytest.mark.parametrize("missing", ["a force in each frame", "all forces", "all energies", "one of both", "infinite"])
def test_no_frame_has_both_energy_and_forces(missing: str, tmp_path: Path) -> None:
    """There is nothing to tell the sign of the forces from; what has no number at all is left out."""
    frames = [water(number) for number in range(12)]
    for number, atoms in enumerate(frames):
        if "forces" in missing or (missing == "one of both" and number % 2):
            atoms.arrays["forces"][:] = np.nan
        elif missing == "a force in each frame":
            atoms.arrays["forces"][1] = np.nan
        else:
            atoms.info["energy"] = -np.inf if missing == "infinite" else np.nan
    hub, said = of_config(frames, tmp_path)
    lost = {"all forces": "Fa", "all energies": "E", "infinite": "E"}.get(missing)
    assert hub["targets"].keys() == {"E", "Fa"} - {lost}
    told = [line for line in said if "has no finite number in any frame" in line]
    assert [line.split()[0] for line in told] == ([lost] if lost else [])


def test_dipoles_beside_crystals_are_left_out(tmp_path: Path) -> None:
    frames = [water(number, vacuum=3, pbc=number % 2 == 0) for number in range(12)]
    for atoms in frames[1::2]:
        atoms.info["dipole"] = atoms.positions[0]
    hub, said = of_config(frames, tmp_path)
    assert (hub["features"]["cell"], hub["targets"].keys(), hub["allow_missing"]) == ("cell", {"E", "Fa"}, [])
    told = "M2 was not taken: 'dipole' is not learned where frames are periodic: the dipole of a cell has no meaning"
    assert told in said
    assert not any(line.startswith("M2: ") for line in said)


@pytest.mark.parametrize("mapping", [{}, {"cell": "cell"}])
@pytest.mark.parametrize("stress", ["REF_stress", "REF_virials"])
def test_guesses_fill_what_a_collection_does_not_say(stress: str, mapping: dict[str, str], tmp_path: Path) -> None:
    frames = []
    for number in range(12):
        atoms = water(number, vacuum=3, pbc=True)
        atoms.info |= {"REF_energy": atoms.info.pop("energy"), stress: np.eye(3), "config_weight": 1.0 + number}
        atoms.arrays["REF_forces"] = atoms.arrays.pop("forces")
        atoms.arrays["charges"] = np.array([-0.6, 0.3, 0.3])
        frames.append(atoms)
    ase.io.write(tmp_path / "some.xyz", frames, format="extxyz")
    found = contents.contents_of(tmp_path / "some.xyz", mapping)
    assert found.known is not None
    assert found.known.name == "MACE"
    expected = {"E": "REF_energy", "Fa": "REF_forces", "S": stress, "Qa": "charges", "cell": "cell", "pbc": "pbc"}
    assert {**expected, "weight": "config_weight"}.items() <= found.sources.items()


def test_labels_of_another_method_are_no_guess(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ani.h5", "w") as file:
        group = file.create_group("H2O")
        group["atomic_numbers"] = [8, 1, 1]
        group["coordinates"] = np.stack([water(number).positions for number in range(4)])
        for name in ("ccsd(t)_cbs.energy", "wb97x_dz.energy"):
            group[name] = -76.0 - np.arange(4)
        group["wb97x_dz.forces"] = np.zeros((4, 3, 3))
        group["cell"] = 30 * np.eye(3)[None].repeat(4, axis=0)
        group["wb97x_dz.dipole"] = np.zeros((4, 3))
    found = contents.contents_of(tmp_path / "ani.h5", {"E": "ccsd(t)_cbs.energy"})
    assert found.sources == {"Ra": "coordinates", "Za": "atomic_numbers", "E": "ccsd(t)_cbs.energy"}


def test_total_charges_that_some_frames_lack(tmp_path: Path) -> None:
    frames = [water(number) for number in range(12)]
    for number, atoms in enumerate(frames):
        atoms.info["multiplicity"] = 1 + 2 * (number % 4 == 0)
        if number > 8:
            atoms.info["charge"] = 2
    hub, said = of_config(frames, tmp_path)
    assert (hub["features"]["Q"], hub["allow_missing"]) == ("charge", ["Q"])
    assert "Q is missing in 9 of 12 frames, where it is taken to be 0" in said
    assert "total charges differ, so the model has the layer ChargeEmbedding" in said
    assert sum("'multiplicity' differs between frames (1, 3)" in line for line in said) == 1
