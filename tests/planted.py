"""Mistakes planted in right data. Each function changes frames in place and returns what the message must contain."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase.data import atomic_masses
from scipy.spatial.transform import Rotation

from pyg_nnp.commands import cli

Frame = dict[str, Any]  # under standard names
Plant = Callable[[list[Frame], np.random.Generator], str]

HARTREE = {"Hartree": 1.0, "eV": 27.211386, "kcal/mol": 627.509474}
BOHR = 0.529177
FACTORS = {
    "Hartree as eV": 27.211386,
    "per Bohr": BOHR,
    "per Å": 1 / BOHR,
    "Hartree as kcal/mol": 627.509474,
    "eV as kcal/mol": 23.060548,
    "eV as Hartree": 1 / 27.211386,
    "kcal/mol as Hartree": 1 / 627.509474,
    "kcal/mol as eV": 1 / 23.060548,
}
# mistakes of all frames, in which there is nothing random
ENTIRE = {"sign", "Bohr", "Q of all", "dipole: sign", "dipole: Debye", "dipole: e Bohr", "ions about centre"}
ENTIRE |= {f"unit: {name}" for name in FACTORS}


def sign(frames: list[Frame], rng: np.random.Generator) -> str:
    for frame in frames:
        frame["Fa"] = -frame["Fa"]
    return r"\(Fa\) looks like (gradients|forces, which negative_gradient)"


def unit(factor: float) -> Plant:
    def plant(frames: list[Frame], rng: np.random.Generator) -> str:
        for frame in frames:
            frame["Fa"] = frame["Fa"] * factor
        return r"\(Fa\) looks like forces "

    return plant


def copied(frames: list[Frame], rng: np.random.Generator) -> str:
    i, j = rng.choice(len(frames), 2, replace=False)
    frames[j] = copy.deepcopy(frames[i])
    return rf"1 copy of other frames in .*: frames {min(i, j)}, {max(i, j)}\. "


def moved(frames: list[Frame], rng: np.random.Generator) -> str:
    """A copy that is turned and moved."""
    i, j = rng.choice(len(frames), 2, replace=False)
    frame = frames[j] = copy.deepcopy(frames[i])
    turn, shift = Rotation.random(rng=rng), rng.normal(size=3)
    for name in {"Ra", "Fa", "M2"} & set(frame):
        frame[name] = turn.apply(frame[name])
    frame["Ra"] = frame["Ra"] + shift
    if "M2" in frame:
        frame["M2"] = frame["M2"] + frame["Q"] * shift
    return rf"1 copy of other frames in .*: frames {min(i, j)}, {max(i, j)}\. "


def in_all_parts(frames: list[Frame], rng: np.random.Generator) -> str:
    """One frame in thirty places, so that a random split has it in several parts."""
    places = rng.choice(len(frames), 30, replace=False)
    for j in places[1:]:
        frames[j] = copy.deepcopy(frames[places[0]])
    return "in several parts of the split"


def contradiction(frames: list[Frame], rng: np.random.Generator) -> str:
    i, j = rng.choice(len(frames), 2, replace=False)
    frames[j] = copy.deepcopy(frames[i])
    frames[j]["E"] += 1e-4 * abs(frames[j]["E"])
    return rf"\(E\) contradicts itself in 1 group of frames of one shape: in frames {min(i, j)}, {max(i, j)} "


def energy(hartree: float) -> Plant:
    def plant(frames: list[Frame], rng: np.random.Generator) -> str:
        i = rng.integers(len(frames))
        frames[i]["E"] += rng.choice([-1, 1]) * hartree
        return rf"frame {i}: '\w+' \(E\) is "

    return plant


def force_of_an_atom(frames: list[Frame], rng: np.random.Generator) -> str:
    i = rng.integers(len(frames))
    # of an atom that there is a force on
    atom = np.linalg.norm(frames[i]["Fa"], axis=1).argmax()
    frames[i]["Fa"][atom] *= 100
    return rf"frame {i}: '\w+' \(Fa\) (has a force|does not add up to 0)"


def forces_of_a_frame(frames: list[Frame], rng: np.random.Generator) -> str:
    i = rng.integers(len(frames))
    frames[i]["Fa"] = 100 * frames[i]["Fa"]
    return rf"frame {i}: '\w+' \(Fa\) has a force"


def charge_of_a_frame(frames: list[Frame], rng: np.random.Generator) -> str:
    i = rng.integers(len(frames))
    frames[i]["Q"] += rng.choice([-1, 1])
    return rf"frame {i}: '\w+' \(Qa\) does not add up to '\w+' \(Q\) in 1 of"


def charge_of_an_atom(frames: list[Frame], rng: np.random.Generator) -> str:
    i = rng.integers(len(frames))
    frames[i]["Qa"][0] += 0.1
    return rf"frame {i}: '\w+' \(Qa\) does not add up to"


def charge_of_all(frames: list[Frame], rng: np.random.Generator) -> str:
    for frame in frames:
        frame["Q"] += 1
    return rf"\(Qa\) does not add up to .* in {len(frames)} of .* always -1\)"


def broken_charge(frames: list[Frame], rng: np.random.Generator) -> str:
    i = rng.integers(len(frames))
    frames[i]["Q"] += 0.5
    frames[i]["Qa"][0] += 0.5
    return rf"frame {i}: '\w+' \(Q\) is .* no whole number"


def dipole(factor: float, message: str) -> Plant:
    def plant(frames: list[Frame], rng: np.random.Generator) -> str:
        for frame in frames:
            frame["M2"] = factor * frame["M2"]
        return rf"\(M2\) {message}"

    return plant


def foreign_dipoles(frames: list[Frame], rng: np.random.Generator) -> str:
    for frame, M2 in zip(frames, rng.permutation([frame["M2"] for frame in frames]), strict=True):
        frame["M2"] = M2
    return r"\(M2\) does not follow from the atomic charges"


def moved_ions(frames: list[Frame], rng: np.random.Generator) -> str:
    """Positions moved after the calculation, the dipoles not."""
    for frame in frames:
        frame["Ra"] = frame["Ra"] + rng.normal(size=3, scale=3)
        center = np.average(frame["Ra"], axis=0, weights=atomic_masses[frame["Za"]])
        # by as much as no centre explains
        frame["M2"] = frame["M2"] + frame["Q"] * (center + rng.normal(size=3, scale=3))
    return r"\(M2\) of the ions fits no origin"


def center_of_mass(frames: list[Frame], rng: np.random.Generator) -> str:
    """Dipoles about the centre of mass, and positions that are elsewhere."""
    for frame in frames:
        frame["Ra"] = frame["Ra"] + [5.0, 0.0, 0.0]
    return r"\(M2\) of the ions is about the center_of_\w+, and the model's is about lab"


def in_bohr(frames: list[Frame], rng: np.random.Generator) -> str:
    for frame in frames:
        frame["Ra"] = frame["Ra"] / BOHR
    return "Bohr_in_R: .* cannot be: bonds of hydrogen|positions look like Bohr"


def in_electronvolts(frames: list[Frame], rng: np.random.Generator) -> str:
    """Energies and forces that go together, but are in another unit than is said."""
    for frame in frames:
        for name in ("E", "Fa"):
            frame[name] = frame[name] * HARTREE["eV"]
    return "looks like eV, as the energies do|Hartree_in_E: .* cannot be"


def plants(fields: set[str], ions: bool, hartree: float) -> dict[str, Plant]:
    """Return all mistakes that a data set with these fields can have, by name."""
    found: dict[str, Plant] = {"copy": copied, "copy, moved": moved, "copies in parts": in_all_parts, "Bohr": in_bohr}
    if "E" in fields:
        found |= {"contradiction": contradiction, "energy + 1 Hartree": energy(hartree)}
    if "Fa" in fields:
        found |= {"sign": sign} | {f"unit: {name}": unit(factor) for name, factor in FACTORS.items()}
        # times 27.2 kcal/mol are no unit that anyone uses
        if "E" in fields and hartree < HARTREE["kcal/mol"]:
            found |= {"all in eV": in_electronvolts}
        found |= {"force x 100": force_of_an_atom, "forces x 100": forces_of_a_frame}
    if "Qa" in fields:
        found |= {"charge of an atom": charge_of_an_atom}
        if "Q" in fields:
            found |= {"Q of a frame": charge_of_a_frame, "Q of all": charge_of_all, "Q not whole": broken_charge}
    if "M2" in fields:
        found |= {
            "dipole: sign": dipole(-1, "points the wrong way"),
            "dipole: Debye": dipole(4.80320, "looks like Debye"),
            "dipole: e Bohr": dipole(1 / BOHR, "looks like e·Bohr"),
            "dipole: foreign": foreign_dipoles,
        }
        if ions:
            found |= {"ions moved": moved_ions, "ions about centre": center_of_mass}
    return found


def report(
    document: dict[str, Any], frames: list[Frame], folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Write frames and configuration, and return what the command says."""
    hub = document["Datahub"]
    names = hub["features"] | hub["targets"]
    data = [{names[field]: value for field, value in frame.items() if field in names} for frame in frames]
    (folder / "planted.pkl").write_bytes(pickle.dumps(data))
    features = {field: name for field, name in hub["features"].items() if field != "N"}
    hub = hub | {
        "data_path": str(folder / "planted.pkl"),
        "data_format": "pickle",
        "features": features,
        "preload": False,
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(document | {"Datahub": hub}))
    capsys.readouterr()
    code = cli.main(["check", str(folder / "train.yaml"), "-o", str(folder / "out")])
    return code, capsys.readouterr().err
