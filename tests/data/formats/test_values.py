"""Values of a field: types, element symbols, padding."""

import re

import h5py
import numpy as np
import pytest
from frame_files import R2, TWO, dump, read, save_hdf5, save_npz
from numpy.testing import assert_array_equal

from pyg_nnp.errors import DataError


def test_padding_may_be_nan_but_not_in_za(tmp_path):
    R = np.concatenate([R2, np.full((2, 1, 3), np.nan)], axis=1)
    path = save_npz(tmp_path / "a.npz", R=R, z=[[6, 1, 0], [6, 1, 0]], s=[["C", "H", ""]] * 2)
    assert_array_equal(read(path, "npz", TWO)["Ra"], R2.reshape(-1, 3))
    assert_array_equal(read(path, "npz", {"Ra": "R", "Za": "s"})["Za"], [6, 1, 6, 1])


def test_shared_symbols_of_concatenated_frames(tmp_path):
    path = save_npz(tmp_path / "a.npz", R=R2.reshape(-1, 3), z=["O", "H"], N=[2, 2])
    assert_array_equal(read(path, "npz", TWO | {"N": "N"}, 1)["Za"], [8, 1, 8, 1])


def test_values_are_not_truncated_to_the_type_of_the_first_frame(tmp_path):
    frames = [{"R": np.zeros((1, 3), int), "z": np.array([6], np.uint8), "E": -1, "Q": np.int8(1)} for _ in range(2)]
    frames[1] |= {"R": np.full((1, 3), 0.25), "z": np.array([118]), "E": -1.5, "Q": 300}
    for name, content in {"list": frames, "dict": {key: [f[key] for f in frames] for key in frames[0]}}.items():
        found = read(dump(tmp_path / name, content), "pickle", TWO | {"E": "E", "Q": "Q"})
        assert_array_equal(found["E"], [-1.0, -1.5])
        assert_array_equal(found["Ra"], [[0, 0, 0], [0.25, 0.25, 0.25]])
        assert_array_equal(found["Za"], [6, 118])
        assert_array_equal(found["Q"], [1.0, 300.0])


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i4", "f2", "<f4", ">f4", ">f8", "g"])
@pytest.mark.parametrize("data_format", ["npz", "hdf5", "pickle"])
def test_fields_of_floats_are_at_least_float64(tmp_path, dtype, data_format):
    columns = {"R": R2.astype(dtype), "z": np.array([6, 1], "u1"), "E": np.array([3, 4], dtype)}
    save = {"npz": save_npz, "hdf5": save_hdf5, "pickle": lambda p, **c: dump(p, c)}[data_format]
    found = read(save(tmp_path / "a.npz", **columns), data_format, TWO | {"E": "E"})
    for name in ("Ra", "E"):
        assert found[name].dtype == np.result_type(np.dtype(dtype), np.float64)
        assert found[name].dtype.isnative
    assert_array_equal(found["E"], [3, 4])
    assert_array_equal(found["Ra"], R2.reshape(-1, 3))


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.array([1j, 2]), "complex numbers"),
        (np.array(["1", "2"]), "text"),
        (np.array([b"1", b"2"]), "text"),
        (np.array([True, False]), "true or false"),
        (np.array([(1.0,), (2.0,)], dtype=[("a", "f8")]), "records"),
    ],
)
def test_other_things_than_numbers_are_refused(tmp_path, values, what):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], E=values)
    with pytest.raises(DataError, match=rf"'E' \(E\) holds {what}(, such as b?'1',)? where numbers are expected"):
        read(path, "npz", TWO | {"E": "E"})
    if values.dtype.kind != "V":
        path = dump(tmp_path / "a.pkl", [{"R": R2[0], "z": [6, 1], "E": E} for E in [0.5, values[1]]])
        with pytest.raises(DataError, match=rf"frame 1: 'E' \(E\) holds {what}(, such as b?'2',)? where"):
            read(path, "pickle", TWO | {"E": "E"})


@pytest.mark.parametrize("bad", [6.5, float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize(("name", "source", "at"), [("Za", "z", (1, 0)), ("Za", "z", (1, 1)), ("N", "N", 1)])
def test_numbers_that_must_be_whole(tmp_path, bad, name, source, at):
    columns = {"R": R2, "z": np.array([[6.0, 1.0]] * 2), "N": np.array([2.0, 2.0])}
    columns[source][at] = bad
    path = save_npz(tmp_path / "a.npz", **columns)
    for frames_per_block in (1, 2):
        with pytest.raises(DataError, match=rf"frame 1: '{source}' \({name}\) is .*, which is not a whole number"):
            read(path, "npz", TWO | {"N": "N"}, frames_per_block)


@pytest.mark.parametrize(
    "symbols",
    [["Cl", "H"], [b"Cl", b"H "], np.array(["Cl", "H"]), ("Cl", "H"), ["CL", "h"], np.array([" cl", "H"], object)],
)
def test_symbols_in_a_list_of_frames(tmp_path, symbols):
    frames = [{"R": R2[0], "z": symbols}, {"R": R2[1], "z": [8, 1]}]
    assert_array_equal(read(dump(tmp_path / "a.pkl", frames), "pickle", TWO)["Za"], [17, 1, 8, 1])


@pytest.mark.parametrize("z", [[6, 1], ["C", "H"], [b"C", b"H"]])
def test_arrays_of_objects_in_a_frame(tmp_path, z):
    frame = {"R": R2[0].astype(object), "z": np.array(z, dtype=object), "E": np.array(1.5, dtype=object)}
    found = read(dump(tmp_path / "a.pkl", [frame]), "pickle", TWO | {"E": "E"})
    assert_array_equal(found["Ra"], R2[0])
    assert_array_equal(found["Za"], [6, 1])
    assert_array_equal(found["E"], [1.5])


def test_ragged_symbols(tmp_path):
    columns = {"R": [R2[0], R2[0, :1]], "z": [["C", "H"], ["He"]]}
    assert_array_equal(read(dump(tmp_path / "a.pkl", columns), "pickle", TWO)["Za"], [6, 1, 2])


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("Xx", r"frame 1: 'z' \(Za\) has 'Xx', which is no element\."),
        ("Cll", r"frame 1: 'z' \(Za\) has 'Cll', which is no element\. Did you mean 'Cl'\?"),
        ("CH4", r"frame 1: 'z' \(Za\) has 'CH4', which is no element"),
        ("6", r"frame 1: 'z' \(Za\) has '6', which is no element\. Atomic numbers have to be numbers, not texts\."),
        ("8.0", r"'8.0', which is no element\. Atomic numbers have to be numbers"),
        ("X", r"frame 1: 'z' \(Za\) has 'X', which is no element\. Leave out dummy and ghost atoms\."),
        ("Bq", r"'Bq', which is no element\. Leave out dummy and ghost atoms\."),
        ("D", r"'D', which is no element\. Write H for isotopes of hydrogen"),
        ("T", r"'T', which is no element\. Write H for isotopes of hydrogen"),
        (b"\xff", r"frame 1: 'z' \(Za\) has '.', which is no element"),
    ],
)
def test_unknown_symbols(tmp_path, symbol, message):
    other = "H" if isinstance(symbol, str) else b"H"
    symbols = [[other, other], [other, symbol]]
    mapping = TWO
    with pytest.raises(DataError, match=message):
        read(save_npz(tmp_path / "a.npz", R=R2, z=symbols), "npz", mapping)
    with pytest.raises(DataError, match=message):
        read(save_hdf5(tmp_path / "a.h5", R=R2, z=np.array(symbols).astype("S")), "hdf5", mapping, 1)
    frames = [{"R": R, "z": z} for R, z in zip(R2, symbols, strict=True)]
    with pytest.raises(DataError, match=message):
        read(dump(tmp_path / "a.pkl", frames), "pickle", mapping)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"z": [[6, 1, 1], [6, 0, 1], [6, 1, 1]]},
            r"frame 1: 'z' \(Za\) has a 0 before the last atom; padding must be at the end. Or are there dummy",
        ),
        (
            {"N": [3, 1, 3]},
            r"frame 1: 'z' \(Za\) goes on after the frame's 1 atoms; padding must be 0. Or are there dummy",
        ),
        ({"N": [3, 4, 3]}, r"frame 1: 'z' \(Za\) has shape \(3,\), but the frame has 4 atoms"),
        ({"N": [3, 0, 3]}, r"frame 1: there are no atoms"),
        ({"z": [[6, 1, 1], [6, 1, 0], [6, 1, 1]]}, r"frame 1: 'R' \(Ra\) goes on after the frame's 2 atoms"),
    ],
)
def test_padding_holds_nothing(tmp_path, columns, message):
    columns = {"R": np.ones((3, 3, 3)), "z": np.ones((3, 3), int)} | columns
    path = save_npz(tmp_path / "a.npz", **columns)
    for frames_per_block in (1, 2, 9):
        with pytest.raises(DataError, match=message):
            read(path, "npz", TWO | ({"N": "N"} if "N" in columns else {}), frames_per_block)


SHAPES = {
    "E (n, 1, 1)": {"E": np.array([[[-1.5]], [[2.5]]])},
    "E (n, 1)": {"E": np.array([[-1.5], [2.5]], ">f4")},
    "E in Fortran order": {"E": np.asfortranarray(np.array([[-1.5], [2.5]]))},
    "E half": {"E": np.array([-1.5, 2.5], "f2")},
    "E objects": {"E": np.array([-1.5, np.float32(2.5)], dtype=object)},
    "E list of arrays": {"E": np.array([[[-1.5]], [[2.5]]], dtype=object)},
    "Q for all": {"Q": 1},
    "Q for all (1,)": {"Q": np.array([1], ">i8")},
    "Q for all (1, 1)": {"Q": np.array([[1.0]], "f2")},
    "Q of objects": {"Q": np.array(1, dtype=object)},
    "R in Fortran order": {"R": np.asfortranarray(R2)},
    "R big endian": {"R": R2.astype(">f8")},
    "R half": {"R": R2.astype("f2")},
    "R objects": {"R": R2.astype(object)},
    "z (n, M, 1)": {"z": np.array([[[6], [1]]] * 2, "u1")},
    "z bytes": {"z": np.array([[b"C", b"h "]] * 2)},
    "z in upper case": {"z": np.array([["c", "H"]] * 2)},
    "z objects": {"z": np.array([["C", "h"]] * 2, dtype=object)},
    "z bytes as objects": {"z": np.array([b"C", b"H"], dtype=object)},
    "z floats": {"z": np.array([6.0, 1.0], ">f4")},
}


@pytest.mark.parametrize("data_format", ["npz", "hdf5", "pickle"])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_types(tmp_path, name, data_format):
    columns = {"R": R2, "z": np.array([6, 1]), "E": np.array([-1.5, 2.5]), "Q": np.array([1, 1])} | SHAPES[name]
    if data_format == "hdf5":  # which has no objects, and texts of bytes alone
        if any(np.asarray(value).dtype == object for value in columns.values()):
            return
        columns = {k: v.astype("S") if np.asarray(v).dtype.kind == "U" else v for k, v in columns.items()}
    save = {"npz": save_npz, "hdf5": save_hdf5, "pickle": lambda p, **c: dump(p, c)}[data_format]
    path = save(tmp_path / "a.npz", **columns)
    for frames_per_block in (1, 9):
        found = read(path, data_format, TWO | {"E": "E", "Q": "Q"}, frames_per_block)
        assert_array_equal(found["E"], [-1.5, 2.5])
        assert_array_equal(found["Q"], [1, 1])
        assert_array_equal(found["Ra"], R2.reshape(-1, 3))
        assert_array_equal(found["Za"], [6, 1, 6, 1])
        assert all(rows.dtype.isnative for rows in found.values())


@pytest.mark.parametrize("E", [["1.0D-03", "2"], [b"-1.0D-03", b"2"], np.array(["0x1", "2"], dtype=object)])
def test_text_is_shown_where_numbers_are_expected(tmp_path, E):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], E=np.array(E))
    with pytest.raises(DataError, match=r"'E' \(E\) holds text, such as b?'(1\.0D|-1\.0D|0x1).*, where numbers are"):
        read(path, "npz", TWO | {"E": "E"})


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [
        ("CCO", 0),
        ("[CH3:1][O-:2]", -1),
        ("[NH4+]", 1),
        ("[Ca+2].[Cl-].[Cl-]", 0),
        ("[Fe++]", 2),
        ("C[N+:12](=O)[O-:3]", 0),
        ("O=C([O-])c1ccc(F)cc1/C=C\\[13CH2-]", -2),
        ("-2", -2),
        ("+1.0", 1),
    ],
)
def test_total_charges_as_text(smiles, charge, tmp_path):
    """Of a molecule in SMILES the sum of its formal charges, once for all frames or for each."""
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], s=[smiles], each=[smiles, "C"])
    assert_array_equal(read(path, "npz", TWO | {"Q": "s"})["Q"], [charge] * 2)
    assert_array_equal(read(path, "npz", TWO | {"Q": "each"})["Q"], [charge, 0])
    frames = [{"R": R2[0], "z": [6, 1], "s": smiles.encode()}] * 2
    assert_array_equal(read(dump(tmp_path / "a.pkl", frames), "pickle", TWO | {"Q": "s"})["Q"], [charge] * 2)


def test_texts_of_hdf5_are_texts(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, text in enumerate(["C", b"CC", ["CCC"]]):
            file[f"{number}/R"], file[f"{number}/z"], file[f"{number}/s"] = R2[0], [6, 1], text
    arrays = read(tmp_path / "a.h5", "hdf5", {"Ra": "R", "Za": "z", "group": "s"})
    assert arrays["group"].tolist() == ["C", "CC", "CCC"]


@pytest.mark.parametrize("text", ["neutral", "", "C[", "1e"])
def test_texts_that_are_no_charge(text, tmp_path):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], s=["C", text])
    message = re.escape(f"frame 1: 's' (Q) has '{text}', which is neither a charge nor a molecule in SMILES.")
    with pytest.raises(DataError, match=message):
        read(path, "npz", TWO | {"Q": "s"})
