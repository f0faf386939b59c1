"""Units that files of each format state."""

import re
import time
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from frame_files import dump

from pyg_nnp.data.formats.readers import format_of, read_blocks
from pyg_nnp.data.formats.stated_units import IN_ASE, StatedUnits, stated_units
from pyg_nnp.errors import DataError
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL, Units

SOURCES = {"Ra": "R", "Za": "z", "E": "E", "Fa": "F", "M2": "D"}


def of(path: Path, sources: dict[str, str] = SOURCES) -> StatedUnits:
    return stated_units(path, format_of(path) or "", sources)


def npz(folder: Path, **texts: Any) -> Path:
    np.savez(folder / "some.npz", R=np.zeros((2, 3, 3)), z=np.ones(3), E=np.zeros(2), **texts)
    return folder / "some.npz"


def xyz(folder: Path, **info: Any) -> Path:
    ase.io.write(folder / "some.xyz", Atoms("H", info=info), format="extxyz")
    return folder / "some.xyz"


def database(folder: Path, **metadata: Any) -> Path:
    with ase.db.connect(folder / "some.db") as rows:
        rows.write(Atoms("H"), data={"energy": np.ones(1), "energy_U0": np.ones(1)})
        rows.metadata = metadata
    return folder / "some.db"


def test_npz_of_sgdml(tmp_path: Path) -> None:
    found = of(npz(tmp_path, r_unit="Ang", e_unit=np.array(b"kcal/mol")))
    assert found.units == Units(HARTREE_IN_KCAL_PER_MOL, BOHR_IN_ANGSTROM)
    assert found.said == {"energy": "as 'e_unit' says", "length": "as 'r_unit' says"}
    assert found.doubts == ()


def test_npz_that_says_nothing_readable(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    assert of(npz(tmp_path, units=objects, unit_cell=np.eye(3))) == StatedUnits(Units(), {}, ())


@pytest.mark.parametrize("energy", ["energy", "energy_U0"])
def test_databases_of_schnetpack(tmp_path: Path, energy: str) -> None:
    units = {energy: "eV", "forces": "eV/Ang"}
    file = database(tmp_path, _property_unit_dict=units, _distance_unit="Ang", atomrefs={"energy": [0.0]})
    found = of(file, {"Ra": "positions", "E": energy, "Fa": "forces"})
    assert found.units == Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM)
    assert found.said["energy"] == "as metadata '_property_unit_dict' says"
    assert found.doubts == ()


def test_extended_xyz(tmp_path: Path) -> None:
    assert of(xyz(tmp_path, energy_unit="Hartree")).units == Units(1.0, None)
    assert of(xyz(tmp_path, units="Hartree, Bohr")).units == Units(1.0, 1.0)
    assert of(xyz(tmp_path, energy=1.0)).units == Units()


def test_all_frames_of_extended_xyz_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "some.xyz"
    frame = "1\n{}\nH 0 0 0\n"
    path.write_text(frame.format("energy=1") + "\n" + frame.format("energy=1 units='eV, Ang'"))
    assert of(path).units == Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM)
    # one unit in two spellings is one
    path.write_text("".join(frame.format(f"energy_unit={text}") for text in ("eV", "ev", "electronvolt")))
    assert of(path).units == Units(HARTREE_IN_EV)
    path.write_text("".join(frame.format(f"energy_unit={text}") for text in ("eV", "eV", "Hartree")))
    what = "'energy_unit' says 'Hartree' in frame 2, but 'eV' in frame 0. Give all in the same units"
    with pytest.raises(DataError, match=what):
        of(path)
    # damage is told by what reads the frames
    path.write_text("9" * 5000 + "\nenergy_unit=eV\nH 0 0 0\n")
    assert stated_units(path, "extxyz", SOURCES).units == Units(HARTREE_IN_EV)
    path.write_text("2\nenergy_unit=eV\nH 0 0 0\n")
    assert of(path).units == Units(HARTREE_IN_EV)
    path.write_text('1\nenergy_unit=eV units="\nH 0 0 0\n')
    assert of(path).units.bohr is None


def test_files_of_a_folder_in_several_units(tmp_path: Path) -> None:
    for name, unit in (("a.xyz", "eV"), ("b.xyz", "eV")):
        (tmp_path / name).write_text(f"1\nenergy_unit={unit}\nH 0 0 0\n")
    assert stated_units(tmp_path, "extxyz", SOURCES).units == Units(HARTREE_IN_EV)
    (tmp_path / "b.xyz").write_text("1\nenergy_unit=Hartree\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"says 'Hartree' in b\.xyz, but 'eV' in a\.xyz\. Give all in the same units"):
        stated_units(tmp_path, "extxyz", SOURCES)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ("energy_unit=Hartree", "is in eV, as ASE has it, but {} in Hartree, as 'energy_unit' says. Give all in"),
        ("length_unit=Bohr", "is in Å, as ASE has it, but {} in Bohr, as 'length_unit' says. Give all in"),
        ("forces_unit=kcal/mol/Ang", "is in eV, as ASE has it, but {} in kcal/mol, as 'forces_unit' says. Give"),
        ("energy_unit=eV", None),
    ],
)
@pytest.mark.parametrize("silent", [1, 2])
def test_extended_xyz_of_which_a_part_says_nothing(tmp_path: Path, texts: str, told: str | None, silent: int) -> None:
    """The silent part is in eV and Å, whether it is first or last, frames or files."""
    said, nothing = f"1\n{texts}\nH 0 0 0\n", "1\nenergy=1\nH 0 0 0\n"
    both = [nothing, said] if silent == 1 else [said, nothing]
    one, folder = tmp_path / "some.xyz", tmp_path / "more"
    one.write_text("".join(both))
    folder.mkdir()
    for name, text in zip(("1.xyz", "2.xyz"), both, strict=True):
        (folder / name).write_text(text)
    for path, names in ((one, ("frame 0", "frame 1")), (folder, ("1.xyz", "2.xyz"))):
        if told is None:
            assert stated_units(path, "extxyz", SOURCES).units == Units(HARTREE_IN_EV)
            assert stated_units(path, "extxyz", SOURCES).doubts == ()
            continue
        unstated, stated = names if silent == 1 else names[::-1]
        with pytest.raises(DataError, match=re.escape(f"{unstated} {told.format(stated)}")):
            stated_units(path, "extxyz", SOURCES)


def test_files_of_several_formats_of_which_one_says_nothing(tmp_path: Path) -> None:
    """What a format means is compared; what nothing says is a doubt."""
    own, other, frames = npz(tmp_path, E_unit="kcal/mol"), tmp_path / "other.npz", xyz(tmp_path)
    with pytest.raises(
        DataError, match=r"some\.xyz is in eV, as ASE has it, but some\.npz in kcal/mol, as 'E_unit' says"
    ):
        stated_units(DataPath.of([str(frames), str(own)]), None, SOURCES)
    np.savez(other, R=np.zeros((2, 3, 3)), z=np.ones(3), E=np.zeros(2))
    found = stated_units(DataPath.of([str(own), str(other)]), None, SOURCES)
    assert found.units == Units(HARTREE_IN_KCAL_PER_MOL)
    doubt = "other.npz says no unit of energy, and is read as some.npz is: in kcal/mol, as 'E_unit' says"
    assert found.doubts == (doubt,)
    assert stated_units(DataPath.of([str(frames), str(other)]), None, SOURCES).doubts == ()


@pytest.mark.parametrize(
    "texts",
    [
        {"energy_unit": "kcal/mol", "length_unit": b"Bohr"},
        {"units": {"E": "kcal/mol", "R": "Bohr"}},
        {"E": {"unit": "kcal/mol"}, "F_unit": "kcal/mol/Bohr"},
    ],
)
def test_pickles_of_columns_and_of_frames(tmp_path: Path, texts: dict[str, Any]) -> None:
    one = {"R": np.zeros((3, 3)), "z": np.ones(3), "note": "no unit"}
    expected = Units(HARTREE_IN_KCAL_PER_MOL, 1.0)
    assert of(dump(tmp_path / "some.pkl", {"R": np.zeros((2, 3, 3)), "z": np.ones(3)} | texts)).units == expected
    assert of(dump(tmp_path / "some.pkl", [one, one | texts])).units == expected
    assert of(dump(tmp_path / "some.pkl", {"first": one | texts, "second": one})).units == expected
    assert of(dump(tmp_path / "some.pkl", [one, one])).units == Units()


def test_frames_of_a_pickle_in_several_units(tmp_path: Path) -> None:
    frames = [{"R": np.zeros((3, 3)), "z": np.ones(3), "energy_unit": unit} for unit in ("eV", "ev", "Hartree")]
    with pytest.raises(DataError, match="'energy_unit' says 'Hartree' in frame 2, but 'eV' in frame 0"):
        of(dump(tmp_path / "some.pkl", frames))


def test_frames_beyond_those_that_are_looked_at_first(tmp_path: Path) -> None:
    """What they say is compared when they are read."""
    path, names = tmp_path / "some.db", {"Ra": "positions", "Za": "numbers"}
    with ase.db.connect(path) as database:
        for number in range(130):
            units = {"energy_unit": "Hartree" if number == 120 else "eV"} if number > 110 else {}
            database.write(Atoms("H", [[0, 0, 0]]), key_value_pairs=units)
    assert stated_units(path, "ase", names).units == Units()
    with pytest.raises(DataError, match="'energy_unit' says 'Hartree' in frame 120, but 'eV' in frame 111"):
        list(read_blocks(path, "ase", names))


@pytest.mark.parametrize("group", ["", "molecule/"])
def test_hdf5_attributes_of_arrays(tmp_path: Path, group: str) -> None:
    """As SPICE has them, where each molecule is a group."""
    names = {"Ra": "conformations", "Za": "atomic_numbers", "E": "dft_total_energy", "Fa": "dft_total_gradient"}
    texts = {"Ra": "bohr", "E": "hartree", "Fa": "hartree/bohr"}
    with h5py.File(tmp_path / "some.h5", "w") as file:
        for name, source in names.items():
            file[f"{group}{source}"] = np.zeros(3)
            if name in texts:
                file[f"{group}{source}"].attrs["units"] = texts[name]
    found = of(tmp_path / "some.h5", names)
    assert found.units == Units(1.0, 1.0)
    assert found.said["length"] == "as attribute 'units' of 'conformations' says"
    assert found.doubts == ()


@pytest.mark.parametrize("place", ["water", "water/1/relaxed"])
def test_hdf5_attributes_of_the_file_and_of_groups(tmp_path: Path, place: str) -> None:
    with h5py.File(tmp_path / "some.h5", "w") as file:
        file[f"{place}/R"] = file[f"{place}/E"] = np.zeros(3)
        file.attrs["energy_unit"] = np.bytes_(b"eV")
        file["water"].attrs["length_unit"] = "nm"
        file["water"].attrs["energy_unit"] = "kJ/mol"
        file[f"{place}/E"].attrs["units"] = h5py.Empty("S1")
        file[f"{place}/R"].attrs["Unit"] = np.bytes_(b"x" * 10_000)  # no unit
    found = of(tmp_path / "some.h5")
    assert found.units == Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM / 10)


@pytest.mark.parametrize("of_group", [True, False])
@pytest.mark.parametrize(
    ("units", "told"), [(("eV", "ev"), None), (("eV", "kcal/mol"), "error"), (("eV", None), "doubt")]
)
def test_hdf5_groups_that_each_say_their_unit(
    tmp_path: Path, of_group: bool, units: tuple[str, str | None], told: str | None
) -> None:
    path = tmp_path / "some.h5"
    with h5py.File(path, "w") as file:
        for group, unit in zip("ab", units, strict=True):
            file[f"{group}/R"] = file[f"{group}/E"] = np.zeros(3)
            if unit and of_group:
                file[group].attrs["energy_unit"] = unit
            elif unit:
                file[f"{group}/E"].attrs["units"] = unit
    if told == "error":
        with pytest.raises(DataError, match="says 'kcal/mol' in group 'b', but 'eV' in group 'a'"):
            of(path)
        with h5py.File(path, "a") as file:  # where it stands for the whole file, this goes before groups
            file.attrs["energy_unit"] = "eV"
        assert not of_group or of(path).units == Units(HARTREE_IN_EV)
        return
    assert of(path).units == Units(HARTREE_IN_EV)
    assert len(of(path).doubts) == (told == "doubt")
    assert told is None or of(path).doubts[0].startswith("group 'b' says no unit of energy, and is read as group 'a'")


def test_hdf5_groups_without_an_array_that_says_its_unit(tmp_path: Path) -> None:
    """As one that may be missing, or elements that all groups share."""
    for of_group in (True, False):
        with h5py.File(tmp_path / "some.h5", "w") as file:
            file["z"] = file["a/R"] = file["b/R"] = file["b/E"] = np.zeros(3)
            (file["b"] if of_group else file["b/E"]).attrs["energy_unit" if of_group else "units"] = "eV"
        found = of(tmp_path / "some.h5")
        assert (found.units, found.doubts) == (Units(HARTREE_IN_EV), ())


def test_forces_say_what_nothing_else_does(tmp_path: Path) -> None:
    assert of(npz(tmp_path, F_unit="eV/Ang")).units == Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM)
    found = of(npz(tmp_path, F_unit="eV/Ang", E_unit="eV"))
    assert found.units == Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM)
    assert found.said == {"energy": "as 'E_unit' says", "length": "as 'F_unit' says"}


def test_units_that_do_not_go_together(tmp_path: Path) -> None:
    found = of(npz(tmp_path, E_unit="Hartree", R_unit="Ang", F_unit="Hartree/Bohr", D_unit="Debye"))
    assert found.units == Units(1.0, BOHR_IN_ANGSTROM)
    forces, dipoles = found.doubts
    assert forces == (
        "'F_unit' says 'Hartree/Bohr' for forces, but with the other units it has to be Hartree/Å: "
        "multiply by 1.88972613"
    )
    assert "'Debye' for dipole moment, but with the other units it has to be e Å: multiply by 0.208194" in dipoles


def test_units_that_are_not_known_are_told(tmp_path: Path) -> None:
    found = of(npz(tmp_path, E_unit="eV/atom", units="strange"))
    assert found.units == Units()
    assert found.doubts == (
        "'E_unit' says 'eV/atom' for total energy, which is no known unit",
        "'units' is 'strange', which is no known unit",
    )


def test_the_name_of_an_array_goes_before_a_word(tmp_path: Path) -> None:
    file = npz(tmp_path, energy_unit="eV", E_unit="Hartree")
    assert of(file).units.hartree == 1
    assert of(file, {"E": "energy"}).units.hartree == HARTREE_IN_EV


def test_what_is_stated_goes_before_what_a_format_means(tmp_path: Path) -> None:
    found = of(xyz(tmp_path, energy_unit="Hartree")).or_else(IN_ASE)
    assert found.units == Units(1.0, BOHR_IN_ANGSTROM)
    assert found.said == {"energy": "as 'energy_unit' says", "length": "as ASE has it"}


def test_damaged_metadata(tmp_path: Path) -> None:
    file = database(tmp_path, energy_unit="eV")
    content = file.read_bytes()
    file.write_bytes(content.replace(b'{"energy_unit"', b'["energy_unit"'))
    with pytest.raises(DataError, match="ASE cannot read"):
        of(file)


@pytest.mark.parametrize("text", ["unit", "unit=", "unit={", 'unit="', "x_unit=' "])
def test_comment_lines_that_never_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.xyz"
    path.write_text("1\n" + text * 200_000 + "\nH 0 0 0\n")
    start = time.process_time()
    stated_units(path, "extxyz", SOURCES)
    assert time.process_time() - start < 5
