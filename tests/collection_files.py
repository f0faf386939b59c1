"""Small files of the layouts of public collections, all with the same toy molecules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from frame_files import save_lmdb
from toy import ATOM_ENERGIES, frame

from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

Frame = dict[str, Any]
SMILES = {"CH3CH2OH": "[CH3:1][CH2:2][OH:3]", "CH3O": "[CH3:1][O-:2]", "H2O": "[OH2:1]"}
CHARGES = {"CH3CH2OH": 0, "CH3O": -1, "H2O": 0}


def molecules(names: tuple[str, ...], count: int = 20) -> list[Frame]:
    """Return distorted molecules, ``count`` of each in a row, in Hartree, Å and e, with forces."""
    rng = np.random.default_rng(0)
    frames = []
    for name in names:
        for _ in range(count):
            found = frame(name, rng)
            R, q = found["coordinates"], found["atomic_charges"] + CHARGES[name] / found["number_of_atoms"]
            frames.append(
                {
                    "name": name,
                    "N": len(R),
                    "Za": found["atomic_numbers"],
                    "Ra": R,
                    "Q": CHARGES[name],
                    "E": found["energy"],
                    "Fa": -found["forces"],
                    "Qa": q,
                    "M2": q @ R,
                }
            )
    return frames


def stacked(frames: list[Frame]) -> dict[str, Any]:
    """Return arrays over frames of one size."""
    return {name: np.stack([one[name] for one in frames]) for name in ("Za", "Ra", "Q", "E", "Fa", "Qa", "M2")}


def by_name(frames: list[Frame]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(one["name"] for one in frames)
    return {name: stacked([one for one in frames if one["name"] == name]) for name in names}


def padded(frames: list[Frame], name: str) -> Any:
    most = max(one["N"] for one in frames)
    return np.stack([np.pad(one[name], [(0, most - one["N"])] + [(0, 0)] * (one[name].ndim - 1)) for one in frames])


def write_spice(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "SPICE.hdf5", "w") as file:
        for name, of in by_name(frames).items():
            group = file.create_group(name.lower())
            group["subset"] = [b"a subset"]
            group["smiles"] = [SMILES[name]]
            group["atomic_numbers"] = of["Za"][0].astype("i2")
            group["conformations"] = (of["Ra"] / BOHR_IN_ANGSTROM).astype("f4")
            group["dft_total_energy"] = of["E"]
            group["formation_energy"] = of["E"] + 100
            group["dft_total_gradient"] = -of["Fa"] * BOHR_IN_ANGSTROM
            group["mbis_charges"] = of["Qa"][:, :, None]
            group["mbis_dipoles"] = 0.1 * of["Ra"]
            group["scf_dipole"] = of["M2"] / BOHR_IN_ANGSTROM
            group["scf_quadrupole"] = np.zeros((len(of["E"]), 3, 3))
            units = {"conformations": "bohr", "dft_total_energy": "hartree", "dft_total_gradient": "hartree/bohr"}
            for key, unit in units.items():
                group[key].attrs["units"] = unit
    return folder / "SPICE.hdf5"


def write_ani1x(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "ani1x.h5", "w") as file:
        for name, of in by_name(frames).items():
            group, count = file.create_group(name), len(of["E"])
            missing = np.where(np.arange(count) % 4 == 0, np.nan, 0.0)
            group["atomic_numbers"] = of["Za"][0].astype("u1")
            group["coordinates"] = of["Ra"].astype("f4")
            group["wb97x_dz.energy"] = of["E"]
            group["wb97x_dz.forces"] = of["Fa"].astype("f4")
            group["wb97x_dz.cm5_charges"] = (of["Qa"] + missing[:, None]).astype("f4")
            group["wb97x_dz.hirshfeld_charges"] = of["Qa"].astype("f4")
            group["wb97x_dz.dipole"] = (of["M2"] + missing[:, None]).astype("f4")
            group["wb97x_tz.energy"] = np.full(count, np.nan)
            group["ccsd(t)_cbs.energy"] = of["E"] - 0.5 + np.where(np.arange(count) % 2, np.nan, 0.0)
            group["hf_dz.energy"] = of["E"] + 0.5
    return folder / "ani1x.h5"


def write_comp6(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "comp6.h5", "w") as file:
        for number, of in enumerate(by_name(frames).values()):
            group = file.create_group(f"gdb11/gdb11-{number}")
            group["species"] = [chemical_symbols[Z].encode() for Z in of["Za"][0]]
            group["coordinates"], group["energies"], group["forces"] = of["Ra"], of["E"], of["Fa"]
    return folder / "comp6.h5"


def write_qm7x(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "1000.hdf5", "w") as file:
        for number, one in enumerate(frames):
            group = file.create_group(f"Geom-m{number % 2}/Geom-m{number % 2}-i1-c1-d{number}")
            group["atNUM"], group["atXYZ"] = one["Za"], one["Ra"]
            group["ePBE0+MBD"] = [one["E"] * HARTREE_IN_EV]
            group["eAT"] = [one["E"] * HARTREE_IN_EV + 100]
            group["totFOR"], group["hCHG"] = one["Fa"] * HARTREE_IN_EV, one["Qa"]
            group["vDIP"], group["DIP"] = one["M2"], [np.linalg.norm(one["M2"])]
            group["sRMSD"] = [0.1]
    return folder / "1000.hdf5"


def write_transition1x(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "Transition1x.h5", "w") as file:
        for number, of in enumerate(by_name(frames).values()):
            reaction = file.create_group(f"data/C2H6O/rxn{number:04d}")
            parts = {".": slice(3, None), "reactant": slice(0, 1), "transition_state": slice(1, 2)}
            for place, rows in {**parts, "product": slice(2, 3)}.items():
                group = reaction if place == "." else reaction.create_group(place)
                group["atomic_numbers"], group["positions"] = of["Za"][0], of["Ra"][rows]
                group["wB97x_6-31G(d).energy"] = of["E"][rows] * HARTREE_IN_EV
                group["wB97x_6-31G(d).atomization_energy"] = of["E"][rows]
                group["wB97x_6-31G(d).forces"] = of["Fa"][rows] * HARTREE_IN_EV
            file[f"train/C2H6O/rxn{number:04d}"] = h5py.SoftLink(f"/data/C2H6O/rxn{number:04d}")
    return folder / "Transition1x.h5"


def write_aimnet2(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "aimnet2.h5", "w") as file:
        for of in by_name(frames).values():
            group = file.create_group(f"{of['Za'].shape[1]:03d}")
            group["coord"], group["numbers"], group["charge"] = of["Ra"], of["Za"], of["Q"].astype("f4")
            group["energy"], group["forces"] = of["E"] * HARTREE_IN_EV, of["Fa"] * HARTREE_IN_EV
            group["charges"], group["dipole"] = of["Qa"], of["M2"]
            group["quadrupole"] = np.zeros((len(of["E"]), 6))
    return folder / "aimnet2.h5"


def write_torchmd_net(folder: Path, frames: list[Frame]) -> Path:
    with h5py.File(folder / "torchmd.h5", "w") as file:
        for name, of in by_name(frames).items():
            group = file.create_group(name)
            group["types"], group["pos"] = of["Za"], of["Ra"]
            group["energy"], group["forces"] = of["E"] * HARTREE_IN_EV, of["Fa"] * HARTREE_IN_EV
    return folder / "torchmd.h5"


def write_torchmd_net_npz(folder: Path, frames: list[Frame]) -> Path:
    of = stacked(frames)
    labels = {"energy": of["E"][:, None] * HARTREE_IN_EV, "forces": of["Fa"] * HARTREE_IN_EV}
    np.savez(folder / "torchmd.npz", types=of["Za"], pos=of["Ra"], **labels)
    return folder / "torchmd.npz"


def write_ani1ccx(folder: Path, frames: list[Frame]) -> Path:
    """Write the part of ANI-1x that has coupled cluster energies, as a file of its own."""
    with h5py.File(folder / "ani1ccx.h5", "w") as file:
        for name, of in by_name(frames).items():
            group = file.create_group(name)
            group["atomic_numbers"], group["coordinates"] = of["Za"][0].astype("u1"), of["Ra"].astype("f4")
            group["ccsd(t)_cbs.energy"] = of["E"]
            group["hf_dz.energy"] = of["E"] + 0.5
    return folder / "ani1ccx.h5"


def write_qm9(folder: Path, frames: list[Frame]) -> Path:
    lines = []
    for number, one in enumerate(frames):
        properties = [*range(1, 11), one["E"], one["E"] + 0.01, one["E"] + 0.02, one["E"] - 0.03, 6.5]
        lines += [str(one["N"]), "\t".join(["gdb " + str(number), *map(str, properties)]) + "\t"]
        for Z, R, q in zip(one["Za"], one["Ra"], one["Qa"], strict=True):
            numbers = [f"{value:.12f}" for value in (*R, q)]
            # as in the collection, where small numbers have exponents
            numbers[0] = f"{R[0]:.12e}".replace("e", "*^")
            lines.append("\t".join([chemical_symbols[Z], *numbers]))
        lines += ["100.1\t200.2", "CCO\tCCO", "InChI=1S\tInChI=1S"]
    (folder / "qm9.xyz").write_text("\n".join(lines) + "\n")
    return folder / "qm9.xyz"


def write_qm9_npz(folder: Path, frames: list[Frame]) -> Path:
    per_frame = {
        name: np.array([one["E"] for one in frames]) + 0.01 * i for i, name in enumerate(("U0", "U", "H", "G"))
    }
    others = {
        name: np.arange(len(frames)) * 0.1 for name in ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "Cv")
    }
    np.savez(
        folder / "qm9.npz",
        num_atoms=[one["N"] for one in frames],
        charges=padded(frames, "Za"),
        positions=padded(frames, "Ra"),
        index=np.arange(len(frames)),
        U0_thermo=per_frame["U0"] + 1,
        **per_frame,
        **others,
    )
    return folder / "qm9.npz"


def write_md17(folder: Path, frames: list[Frame]) -> Path:
    of = stacked(frames)
    np.savez(
        folder / "md17_ethanol.npz",
        E=of["E"][:, None] * HARTREE_IN_KCAL_PER_MOL,
        F=of["Fa"] * HARTREE_IN_KCAL_PER_MOL,
        R=of["Ra"],
        z=of["Za"][0].astype("u1"),
        name=np.array("ethanol", dtype=object),
        theory=b"unknown",
        type=b"d",
        md5=np.array(b"0123"),
    )
    return folder / "md17_ethanol.npz"


def write_md22(folder: Path, frames: list[Frame]) -> Path:
    of = stacked(frames)
    np.savez(
        folder / "md22_ethanol.npz",
        E=of["E"] * HARTREE_IN_KCAL_PER_MOL,
        F=of["Fa"] * HARTREE_IN_KCAL_PER_MOL,
        R=of["Ra"],
        z=of["Za"][0],
        name="ethanol",
        theory="PBE+MBD",
        type="d",
        md5="0123",
        r_unit="Ang",
        e_unit="kcal/mol",
        E_min=0.0,
        F_max=1.0,
    )
    return folder / "md22_ethanol.npz"


def write_rmd17(folder: Path, frames: list[Frame]) -> Path:
    of = stacked(frames)
    labels = {"energies": of["E"] * HARTREE_IN_KCAL_PER_MOL, "forces": of["Fa"] * HARTREE_IN_KCAL_PER_MOL}
    old = {f"old_{name}": values + 1 for name, values in labels.items()}
    indices = np.arange(len(frames))
    path = folder / "rmd17_ethanol.npz"
    np.savez(path, nuclear_charges=of["Za"][0], coords=of["Ra"], old_indices=indices, **labels, **old)
    return path


def write_physnet(folder: Path, frames: list[Frame]) -> Path:
    # energies are those of atomisation
    E = [one["E"] - sum(ATOM_ENERGIES[Z] for Z in one["Za"]) for one in frames]
    np.savez(
        folder / "physnet.npz",
        R=padded(frames, "Ra"),
        Z=padded(frames, "Za"),
        N=[one["N"] for one in frames],
        E=np.array(E) * HARTREE_IN_EV,
        F=padded(frames, "Fa") * HARTREE_IN_EV,
        Q=np.array([one["Q"] for one in frames], dtype=float),
        D=np.stack([one["M2"] for one in frames]),
    )
    return folder / "physnet.npz"


def write_mace(folder: Path, frames: list[Frame]) -> Path:
    written = []
    for Z in sorted({int(Z) for one in frames for Z in one["Za"]}):
        info = {"REF_energy": ATOM_ENERGIES[Z] * HARTREE_IN_EV, "config_type": "IsolatedAtom", "charge": 0}
        written.append(Atoms([Z], [[0.0, 0.0, 0.0]], info=info))
    for one in frames:
        info = {"REF_energy": one["E"] * HARTREE_IN_EV, "config_type": "Default", "charge": one["Q"]}
        atoms = Atoms(one["Za"], one["Ra"], info={**info, "REF_dipole": one["M2"], "energy": 0.0})
        atoms.arrays |= {"REF_forces": one["Fa"] * HARTREE_IN_EV, "REF_charges": one["Qa"]}
        written.append(atoms)
    ase.io.write(folder / "mace.xyz", written, format="extxyz")
    return folder / "mace.xyz"


def write_omol25(folder: Path, frames: list[Frame]) -> Path:
    rows = []
    for one in frames:
        structure = {"positions": one["Ra"].tolist(), "numbers": one["Za"].tolist()}
        labels = {"energy": one["E"] * HARTREE_IN_EV, "forces": (one["Fa"] * HARTREE_IN_EV).tolist()}
        about = {"cell": np.zeros((3, 3)).tolist(), "pbc": [False] * 3, "ctime": 1.0, "mtime": 1.0, "user": "me"}
        data = {"charge": one["Q"], "spin": 1, "source": "a place", "num_atoms": one["N"]}
        rows.append({**structure, **labels, **about, "unique_id": "0", "data": data})
    return save_lmdb(folder / "data0000.aselmdb", rows)


Writer = Callable[[Path, list[Frame]], Path]
