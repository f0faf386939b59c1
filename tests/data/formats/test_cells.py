"""Periodic cells in arrays, lists and groups: what is periodic is refused, what is a molecule is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
from ase.build import bulk, molecule
from frame_files import R2, TWO, dump, read, save_compressed, save_hdf5, save_npz
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.formats.structures import structure_blocks
from pyg_nnp.data.frame_checks import Checks
from pyg_nnp.data.source import DataSource
from pyg_nnp.errors import DataError

R4 = np.arange(24.0).reshape(4, 2, 3)
Save = Callable[..., Path]
PERIODIC = "the cell is periodic, but a potential here knows molecules alone"


def dump_columns(path: Path, **columns: Any) -> Path:
    return dump(path, columns)


def dump_frames(path: Path, **columns: Any) -> Path:
    n = len(columns["R"])
    rows = {key: value if len(np.atleast_1d(value)) == n else [value] * n for key, value in columns.items()}
    return dump(path, [{key: rows[key][i] for key in rows} for i in range(n)])


def save_in_chunks(path: Path, **columns: Any) -> Path:
    with h5py.File(path, "w") as file:
        for key, value in columns.items():
            file.create_dataset(key, data=value, chunks=(3, *np.shape(value)[1:]), compression="gzip")
    return path


def save_groups(path: Path, **columns: Any) -> Path:
    """Each frame in a group of its own, and what holds for all at the top."""
    n = len(columns["R"])
    with h5py.File(path, "w") as file:
        for key, value in columns.items():
            if key in TWO.values() or len(np.atleast_1d(value)) == n:
                for i in range(n):
                    file[f"g{i}/{key}"] = value[i]
            else:
                file[key] = value
    return path


SAVES = {
    "npz": save_npz,
    "compressed npz": save_compressed,
    "hdf5": save_hdf5,
    "chunked hdf5": save_in_chunks,
    "groups in hdf5": save_groups,
    "dict in pickle": dump_columns,
    "list in pickle": dump_frames,
}
Z4 = np.array([[6, 1]] * 4)


def format_of(name: str) -> str:
    return name.split()[-1]


def check(
    path: Path,
    data_format: str,
    bohr: float | None = None,
    frames_per_block: int = 1024,
    mapping: dict[str, str] = TWO,
) -> int:
    """Read and check all frames, and return how many there are."""
    checks, num_frames = Checks(DataSource(str(path), mapping), bohr), 0
    for block in read_blocks(path, data_format, mapping, frames_per_block):
        checks(block)
        num_frames += block.num_frames
    return num_frames


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize("frames_per_block", [1, 2, 9])
@pytest.mark.parametrize(
    ("name", "pbc", "frame"),
    [
        ("pbc", [[False] * 3, [True, False, False], *[[False] * 3] * 2], 1),
        ("PBC", np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]), 2),
        ("periodic", [False, False, True, True], 2),
        ("is_periodic", [0.0, 0.0, 0.0, 1.0], 3),
    ],
)
def test_periodic_frames_are_refused(
    tmp_path: Path, saved: str, frames_per_block: int, name: str, pbc: Any, frame: int
) -> None:
    path = SAVES[saved](tmp_path / "a.npz", R=R4, z=Z4, **{name: np.array(pbc)})
    with pytest.raises(DataError, match=rf"frame {frame}.*: {PERIODIC} \('{name}' is .*store '{name}' as false"):
        read(path, format_of(saved), TWO, frames_per_block)


@pytest.mark.parametrize("saved", [name for name in SAVES if name != "chunked hdf5"])
@pytest.mark.parametrize("pbc", [True, np.array([False, False, True]), "T T F", b"true", "xy", 1])
def test_one_value_for_all_frames(tmp_path: Path, saved: str, pbc: Any) -> None:
    value = np.array(pbc, dtype="S") if isinstance(pbc, str) and "hdf5" in saved else pbc
    path = SAVES[saved](tmp_path / "a.npz", R=R4, z=Z4, pbc=value)
    with pytest.raises(DataError, match=rf"frame \d.*: {PERIODIC}"):
        read(path, format_of(saved), TWO)


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize("pbc", [[[False] * 3] * 4, [0] * 4, np.array([b"F F F", b"no", b"False", b""])])
def test_what_is_said_to_be_molecules_is_read_in_any_cell(tmp_path: Path, saved: str, pbc: Any) -> None:
    path = SAVES[saved](tmp_path / "a.npz", R=R4, z=Z4, pbc=np.array(pbc), cell=np.array([np.eye(3)] * 4))
    assert check(path, format_of(saved)) == 4


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("cell", [np.zeros((3, 3)), np.eye(3) * 3, *[np.zeros((3, 3))] * 2]),
        ("box", [[0.0] * 3, [3.0, 20, 20], *[[0.0] * 3] * 2]),
        ("Lattice", [np.zeros(9), np.diag([3.0, 3, 3]).ravel(), *[np.zeros(9)] * 2]),
        ("cell_lengths", [np.zeros(3), [3.0, 20, 20], *[np.zeros(3)] * 2]),
        ("boxsize", [0.0, 3.0, 0.0, 0.0]),
        ("lattice_matrix", [np.zeros((3, 3)), np.eye(3) * 3, *[np.zeros((3, 3))] * 2]),
        ("abc", [np.zeros(3), np.full(3, 3.0), *[np.zeros(3)] * 2]),
        ("cellpar", [np.full(6, np.nan), [20, 20, 3, 90, 90, 90.0], *[np.zeros(6)] * 2]),
    ],
)
def test_cells_that_molecules_do_not_fit_in(tmp_path: Path, saved: str, name: str, cells: Any) -> None:
    path = SAVES[saved](tmp_path / "a.npz", R=R4 / 20, z=Z4, **{name: np.array(cells)})
    for frames_per_block in (1, 9):
        with pytest.raises(DataError, match="frame 1: in its cell atom 0 has an image of atom 0 at a distance of 3,"):
            check(path, format_of(saved), frames_per_block=frames_per_block)


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.eye(3) * 20, np.diag([20, 0, 0]), np.full((3, 3), np.nan)])
def test_cells_of_molecules_in_vacuum(tmp_path: Path, saved: str, cell: Any) -> None:
    path = SAVES[saved](tmp_path / "a.npz", R=R4 / 20, z=Z4, cell=np.array([cell] * 4))
    assert check(path, format_of(saved)) == 4


@pytest.mark.parametrize("cell", [3.0, [3.0] * 3, [[3.0, 0, 0], [0, 3, 0], [0, 0, 3]], [3, 3, 3, 90, 90, 90]])
def test_one_cell_for_all_frames(tmp_path: Path, cell: Any) -> None:
    frames = {"R": np.zeros((4, 1, 3)), "z": [[6]] * 4}
    for saved in ("npz", "hdf5", "dict in pickle", "groups in hdf5"):
        path = SAVES[saved](tmp_path / f"{saved}.npz", **frames, cell=np.array(cell))
        with pytest.raises(DataError, match="frame 0: in its cell atom 0 has an image of atom 0 at a distance of 3,"):
            check(path, format_of(saved))


def test_a_crystal_a_broken_molecule_and_a_whole_one(tmp_path: Path) -> None:
    copper, ethanol = bulk("Cu", cubic=True) * (2, 2, 2), molecule("CH3CH2OH")
    whole = ethanol.positions - ethanol.positions.mean(axis=0)
    for name, R, Z, length, is_refused in [
        ("crystal", copper.positions, copper.numbers, 7.22, True),
        ("in pieces", whole % 15, ethanol.numbers, 15, True),
        ("whole", whole + 7, ethanol.numbers, 15, False),
        ("outside of the cell", whole - 100, ethanol.numbers, 15, False),
        ("in Bohr", whole / 0.529177, ethanol.numbers, 15 / 0.529177, False),
    ]:
        path = save_npz(tmp_path / "a.npz", R=R[None], z=Z, cell=np.eye(3) * length)
        bohr = 1.0 if name == "in Bohr" else None
        if is_refused:
            with pytest.raises(
                DataError, match=r"has an image of atom \d+ at .* so this is periodic.* --map cell=NAME.*'pbc' as false"
            ):
                check(path, "npz", bohr)
        else:
            assert check(path, "npz", bohr) == 1, name
    with pytest.raises(DataError, match="has an image"):  # 8 Å, of which the molecule takes 5, in Bohr
        check(save_npz(tmp_path / "b.npz", R=whole[None] / 0.529177, z=ethanol.numbers, cell=8 / 0.529177), "npz", 1.0)


def test_what_else_may_be_called_a_cell(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], box=np.ones((2, 4)))
    with pytest.raises(DataError, match=r"'box' looks like a periodic cell, but is \[1.0, 1.0, 1.0, 1.0\], expected"):
        read(path, "npz", TWO)
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], box=np.ones((7, 4)))
    with pytest.raises(DataError, match=r"'box' looks like a periodic cell, but has shape \(7, 4\)"):
        read(path, "npz", TWO)
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], box=np.ones((7, 4)), pbc=False)
    assert_array_equal(read(path, "npz", TWO)["Ra"], R2.reshape(-1, 3))
    # the user's word for something else
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], cell=[1.5, 2.5])
    assert_array_equal(read(path, "npz", TWO | {"E": "cell"})["E"], [1.5, 2.5])


def test_frames_without_what_others_have(tmp_path: Path) -> None:
    frames = [{"R": R / 20, "z": [6, 1]} for R in R4]
    frames[1] |= {"pbc": None, "cell": None}
    assert check(dump(tmp_path / "a", frames), "pickle") == 4
    frames[2] |= {"cell": np.eye(3) * 4}
    with pytest.raises(DataError, match="frame 2: in its cell"):
        check(dump(tmp_path / "a", frames), "pickle")
    frames[2] |= {"pbc": [False] * 3}
    assert check(dump(tmp_path / "a", frames), "pickle") == 4


def test_formats_of_ase_say_it_themselves(tmp_path: Path) -> None:
    ethanol = molecule("CH3CH2OH", vacuum=1.0)
    assert not ethanol.pbc.any()
    ase.io.write(tmp_path / "a.xyz", ethanol, format="extxyz")
    mapping = {"Ra": "positions", "Za": "numbers"}
    assert len(read(tmp_path / "a.xyz", "extxyz", mapping)["N"]) == 1
    ethanol.pbc = [False, False, True]
    ase.io.write(tmp_path / "a.xyz", ethanol, format="extxyz")
    with pytest.raises(DataError, match=f"frame 0: {PERIODIC}"):
        read(tmp_path / "a.xyz", "extxyz", mapping)


CELLS = np.array([np.diag([4.0, 5, 6]), np.zeros((3, 3)), [[4.0, 0, 0], [1, 5, 0], [2, 1, 6]], np.diag([0, 5.0, 0])])
WITH_CELL = TWO | {"cell": "box"}


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize("frames_per_block", [1, 3, 9])
def test_mapped_cells_are_read(tmp_path: Path, saved: str, frames_per_block: int) -> None:
    for form in (CELLS, CELLS.reshape(4, 9)):
        path = SAVES[saved](tmp_path / "a.npz", R=R4, z=Z4, box=form)
        found = read(path, format_of(saved), WITH_CELL, frames_per_block)
        assert_array_equal(found["cell"], CELLS)
        # those of vectors that are not 0, where nothing is said
        assert found["pbc"].tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize("name", ["pbc", "periodic", "mine"])
def test_periodic_directions_of_mapped_cells(tmp_path: Path, saved: str, name: str) -> None:
    said = [[True, True, False], [False] * 3, [True] * 3, [False] * 3]
    path = SAVES[saved](tmp_path / "a.npz", R=R4, z=Z4, box=CELLS, **{name: np.array(said)})
    mapping = WITH_CELL | ({"pbc": name} if name == "mine" else {})
    assert read(path, format_of(saved), mapping)["pbc"].tolist() == np.array(said, dtype=int).tolist()


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        (3.0, np.eye(3) * 3),
        ([2.0, 3.0, 4.0], np.diag([2.0, 3.0, 4.0])),
        ([2.0, 3.0, 4.0, 90, 90, 60], [[2, 0, 0], [1.5, 3**1.5 / 2, 0], [0, 0, 4]]),
        (CELLS[2], CELLS[2]),
    ],
)
@pytest.mark.parametrize("pbc", [None, False, "T T F", [True, True, False], True])
def test_one_mapped_cell_for_all_frames(tmp_path: Path, form: Any, cell: Any, pbc: Any) -> None:
    said = {} if pbc is None else {"pbc": pbc}
    path = save_npz(tmp_path / "a.npz", R=R4, z=Z4, box=np.array(form), **said)
    found = read(path, "npz", WITH_CELL)
    np.testing.assert_allclose(found["cell"], [cell] * 4, atol=1e-12)
    directions = {None: [1, 1, 1], "T T F": [1, 1, 0], True: [1, 1, 1], False: [0, 0, 0]}
    assert (found["pbc"] == ([1, 1, 0] if isinstance(pbc, list) else directions[pbc])).all()


def test_what_is_no_cell_cannot_be_mapped(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", R=R4, z=Z4, box=np.ones((4, 4)))
    with pytest.raises(DataError, match=r"frame 0: 'box' looks like a periodic cell, but is \[1.0, 1.0, 1.0, 1.0\]"):
        read(path, "npz", WITH_CELL)


LENGTHS = np.array([[12.0, 16, 22], [22, 12, 16], [16, 22, 12]])
NEAR = np.array([[30.0, 31, 32], [31, 32, 30], [32, 30, 31]])
OBLIQUE = np.array([[9.0, 0, 0], [1, 9, 0], [2, -1, 9]])


@pytest.mark.parametrize("saved", ["npz", "hdf5", "chunked hdf5", "dict in pickle"])
@pytest.mark.parametrize("frames_per_block", [1, 2, 9])
@pytest.mark.parametrize(
    ("box", "cells"),
    [
        (OBLIQUE, [OBLIQUE] * 3),
        (np.diag([4.0, 5, 0]), [np.diag([4.0, 5, 0])] * 3),
        (NEAR, [np.diag(row) for row in NEAR]),
        (np.full((3, 3), 9.0), [np.eye(3) * 9] * 3),
        (np.array([[4.0, 5, 0]] * 3), [np.diag([4.0, 5, 0])] * 3),
        (np.zeros((3, 3)), [np.zeros((3, 3))] * 3),
        (np.full(3, 9.0), [np.eye(3) * 9] * 3),
        (OBLIQUE.ravel(), [OBLIQUE] * 9),
        (NEAR.ravel(), [np.eye(3) * length for length in NEAR.ravel()]),
        (np.full(6, 60.0), [np.eye(3) * 60] * 6),
        (np.array([2.0, 3, 4, 90, 90, 90]), [np.diag([2.0, 3, 4])] * 6),
    ],
)
def test_numbers_tell_one_cell_from_lengths_of_each_frame(
    tmp_path: Path, saved: str, frames_per_block: int, box: Any, cells: Any
) -> None:
    n = len(cells)
    path = SAVES[saved](tmp_path / "a.npz", R=np.zeros((n, 2, 3)), z=np.array([[6, 1]] * n), box=box)
    found = read(path, format_of(saved), WITH_CELL, frames_per_block)["cell"]
    np.testing.assert_allclose(found, cells, atol=1e-12)


@pytest.mark.parametrize("saved", ["npz", "hdf5", "dict in pickle"])
@pytest.mark.parametrize("box", [LENGTHS, LENGTHS.ravel(), [9.0, 8, 7], [9.0, 8, 7, 40, 50, 60]])
@pytest.mark.parametrize("mapping", [TWO, WITH_CELL])
def test_an_array_that_may_be_one_cell_or_lengths_of_each_frame(
    tmp_path: Path, saved: str, box: Any, mapping: dict[str, str]
) -> None:
    n = len(box)
    path = SAVES[saved](tmp_path / "a.npz", R=np.zeros((n, 1, 3)), z=np.array([[6]] * n), box=np.array(box))
    what = rf"'box' has shape .* one value for all of the {n} frames, or one for each.* shape \({n}, 3, 3\)\."
    with pytest.raises(DataError, match=what):
        read(path, format_of(saved), mapping)


def test_directions_of_three_frames(tmp_path: Path) -> None:
    flags = np.array([[True, True, False], [False] * 3, [True] * 3])
    frames = {"R": R4[:3], "z": Z4[:3], "box": [CELLS[0]] * 3}
    for pbc in (flags, np.full(3, True), np.full(3, False)):
        found = read(save_npz(tmp_path / "a.npz", **frames, pbc=pbc), "npz", WITH_CELL)["pbc"]
        assert_array_equal(found, np.broadcast_to(pbc.T, (3, 3)).T)
    with pytest.raises(DataError, match=r"'pbc' has shape \(3,\), .* three flags of each, as an array of shape \(3, 3"):
        read(save_npz(tmp_path / "a.npz", **frames, pbc=flags[0]), "npz", WITH_CELL)
    six = save_npz(tmp_path / "a.npz", R=np.zeros((6, 2, 3)), z=[6, 1], box=CELLS[0], pbc=[0, 1, 0, 0, 0, 1])
    assert read(six, "npz", WITH_CELL)["pbc"].tolist() == [[flag] * 3 for flag in [0, 1, 0, 0, 0, 1]]


def test_attributes_hold_for_all_of_three_frames(tmp_path: Path) -> None:
    path = save_hdf5(tmp_path / "a.h5", R=np.zeros((3, 1, 3)), z=[[6]] * 3)
    with h5py.File(path, "a") as file:
        file.attrs["box"] = [3.0, 20, 20]
    with pytest.raises(DataError, match="frame 0: in its cell atom 0 has an image of atom 0 at a distance of 3,"):
        check(path, "hdf5")


def test_periodic_frames_without_vectors(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", R=R4, z=Z4, box=np.zeros((4, 3, 3)), lattice=CELLS, pbc=[0, 0, 1, 0])
    with pytest.raises(DataError, match=r"frame 2: the frame is periodic, but 'box' \(cell\) .* or map cell: lattice"):
        read(path, "npz", WITH_CELL)


@pytest.mark.parametrize(("name", "mapping"), [("cell", {"cell": "cell"}), ("periodic", {})])
def test_cells_that_are_there_twice(tmp_path: Path, name: str, mapping: dict[str, str]) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(f'1\n{name}="1 1 1" {name}="0 0 1"\nH 0 0 0\n')
    with pytest.raises(DataError, match=f"frame 0: '{name}' is there twice, with different values"):
        read(path, "extxyz", {"Ra": "positions", "Za": "numbers", **mapping})


@pytest.mark.parametrize(("box", "cell"), [("9 0 0 1 9 0 0 0 9", [[9, 0, 0], [1, 9, 0], [0, 0, 9]]), ("9 8 7", None)])
def test_a_cell_of_extended_xyz_that_ase_leaves_to_others(tmp_path: Path, box: str, cell: Any) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(f'1\ncell="{box}" pbc="T T F"\nH 0 0 0\n')
    found = read(path, "extxyz", {"Ra": "positions", "Za": "numbers", "cell": "cell"})
    np.testing.assert_allclose(found["cell"], [np.diag([9, 8, 7]) if cell is None else cell], atol=1e-12)
    assert found["pbc"].tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("ending", ["xyz", "db"])
def test_crystals_slabs_and_molecules_in_a_file_of_ase(tmp_path: Path, ending: str) -> None:
    slab = bulk("Cu", cubic=True)
    slab.set_cell([3.6, 3.6, 20.0])
    slab.pbc = [True, True, False]
    systems = [molecule("CH4"), bulk("Cu"), slab, molecule("H2O")]
    path = tmp_path / f"a.{ending}"
    if ending == "db":
        with ase.db.connect(path) as database:
            for atoms in systems:
                database.write(atoms)
    else:
        ase.io.write(path, systems, format="extxyz")
    mapping = {"Ra": "positions", "Za": "numbers", "cell": "cell"}
    found = read(path, {"xyz": "extxyz", "db": "ase"}[ending], mapping)
    assert found["pbc"].tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(found["cell"], [atoms.cell.array for atoms in systems], atol=1e-7)
    with pytest.raises(DataError, match=f"frame 1: {PERIODIC}.*map 'cell' in Datahub.features, as by init"):
        read(path, {"xyz": "extxyz", "db": "ase"}[ending], {"Ra": "positions", "Za": "numbers"})


@pytest.mark.parametrize("saved", SAVES)
@pytest.mark.parametrize("frames_per_block", [1, 9])
@pytest.mark.parametrize(("length", "said"), [(3.0, False), (20.0, False), (3.0, True)])
def test_cells_under_another_name_than_that_which_is_read(
    tmp_path: Path, saved: str, frames_per_block: int, length: float, said: bool
) -> None:
    """What a frame has in place of the mapped cell is looked at as where no cell is mapped."""
    box = np.array([np.eye(3) * 9, np.zeros((3, 3)), np.zeros((3, 3)), np.eye(3) * 9])
    # that of frame 0 is another: of one that has a cell nothing else is asked
    others = {
        "abc": np.array([[2.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3]),
        "unit_cell": np.array([*[np.zeros((3, 3))] * 2, np.eye(3) * length, np.zeros((3, 3))]),
    }
    pbc = {"pbc": np.array([[True] * 3, *[[False] * 3] * 2, [True] * 3])} if said else {}
    path = SAVES[saved](tmp_path / "a.npz", R=R4 / 20, z=Z4, box=box, **others, **pbc)
    if length == 20 or said:
        assert check(path, format_of(saved), None, frames_per_block, WITH_CELL) == 4
        return
    name = "'(abc' or ')?unit_cell'" if saved == "list in pickle" else "another array"
    what = rf"frame 2: in its cell atom 0 .* cells are read from 'box', not from {name}\. Give them the same name"
    with pytest.raises(DataError, match=what):
        check(path, format_of(saved), None, frames_per_block, WITH_CELL)


@pytest.mark.parametrize("name", ["unit_cell", "box", "Cell", "cell_vectors", "lattice"])
def test_other_names_of_lattices_in_extended_xyz(tmp_path: Path, name: str) -> None:
    """Of which ASE knows one alone, so that crystals with another one seem to be molecules."""
    path, mapping = tmp_path / "a.xyz", {"Ra": "positions", "Za": "numbers", "cell": "cell", "pbc": "pbc"}
    path.write_text(f'1\nLattice="3 0 0 0 3 0 0 0 3"\nH 0 0 0\n1\n{name}="3 3 3"\nH 0 0 0\n')
    (block,) = read_blocks(path, "extxyz", mapping)
    what = f"frame 1: in its cell atom 0 .* cells are read from 'cell', not from '{name}'"
    with pytest.raises(DataError, match=what):
        Checks(DataSource("a", mapping))(block)


@pytest.mark.parametrize("saved", SAVES)
def test_words_are_no_cells(tmp_path: Path, saved: str) -> None:
    """As ``unit_cell=conventional``, which programs that build crystals write for molecules, too."""
    words = np.array(["fcc", "conventional", "", "none"], dtype="S" if "hdf5" in saved else "U")
    path = SAVES[saved](tmp_path / "a.npz", R=R4, z=Z4, unit_cell=words)
    assert check(path, format_of(saved)) == 4
    numbers = SAVES[saved](tmp_path / "b.npz", R=R4, z=Z4, unit_cell=np.array(["10 A"] * 4, dtype=words.dtype.kind))
    with pytest.raises(DataError, match=r"'unit_cell' looks like a periodic cell, but is .*10 A.*, expected"):
        check(numbers, format_of(saved))


def test_words_beside_the_directions_of_a_molecule(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text('2\nProperties=species:S:1:pos:R:3 unit_cell=conventional energy=1 pbc="F F F"\nH 0 0 0\nH 0 0 1\n')
    (block,) = read_blocks(path, "extxyz", {"Ra": "positions", "Za": "numbers"})
    assert block.cells is None or not block.cells.any()


@pytest.mark.parametrize("name", ["Lattice", "cell"])
def test_structures_with_cells_of_either_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(f'1\n{name}="9 0 0 1 9 0 0 0 9" pbc="T T F"\nH 0 0 0\n')
    (block,) = structure_blocks(path, {})
    assert_array_equal(block.arrays["cell"], [[[9, 0, 0], [1, 9, 0], [0, 0, 9]]])
    assert block.arrays["pbc"].tolist() == [[1, 1, 0]]
