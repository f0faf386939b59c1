"""Pickles are read, and nothing in them is run."""

import builtins
import os
import pickle
import struct
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
from frame_files import NAMES, R2, TWO, Call, dump, make_frames, read
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import columns_of, format_of
from pyg_nnp.errors import DataError


@pytest.mark.parametrize("content", [[], (), {}])
def test_pickles_without_frames(tmp_path, content):
    path = dump(tmp_path / "a.pkl", content)
    with pytest.raises(DataError, match=r"there are no frames|there is no 'R' \(Ra\)\. It has: nothing\."):
        read(path, "pickle", TWO)
    assert list(columns_of(path, "pickle")) == []


def numpy_frames():
    values = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    return [
        OrderedDict(
            R=values, z=np.array([6, 1], ">i2"), E=np.float32(1.5), s=np.str_("abc"), note=np.array([1, "b"], object)
        ),
        {
            "R": values[::-1],
            "z": np.array(["C", "H"]),
            "E": 2,
            "s": {1, 2},
            "note": defaultdict(list, a=[b"bytes", 1j]),
        },
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
def test_pickles_of_any_protocol_and_numpy(tmp_path, protocol, module):
    content = pickle.dumps(numpy_frames(), protocol=protocol)
    for submodule in (b"multiarray", b"numeric"):  # a short text is stored with its length in protocol 4 and up
        for written in (b"numpy.core", b"numpy._core"):
            old, new = written + b"." + submodule, module + b"." + submodule
            content = content.replace(bytes([0x8C, len(old)]) + old, bytes([0x8C, len(new)]) + new)
            content = content.replace(b"c" + old + b"\n", b"c" + new + b"\n")
    content = unframed(content) if protocol >= 4 else content
    assert (module + b".multiarray") in content
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    found = read(path, "pickle", TWO | {"E": "E"})
    assert_array_equal(found["Ra"], [[0, 1, 2], [3, 4, 5], [3, 4, 5], [0, 1, 2]])
    assert_array_equal(found["Za"], [6, 1, 6, 1])
    assert_array_equal(found["E"], [1.5, 2])
    assert list(columns_of(path, "pickle")) == ["R", "z", "E", "s", "note"]


def unframed(content):
    """Take out the FRAME opcode, whose length is wrong once the content has been edited."""
    at = content.index(b"\x95")
    return content[:at] + content[at + 9 :]


def payloads(marker):
    text = str(marker).encode()
    code = f"open({str(marker)!r}, 'w').close()".encode()
    short = lambda words: b"\x8c" + bytes([len(words)]) + words  # noqa: E731
    long = lambda words: b"X" + struct.pack("<I", len(words)) + words  # noqa: E731
    get = short(b"builtins") + short(b"getattr") + b"\x93"
    return {
        f"{os.system.__module__}.system": pickle.dumps([Call(os.system, f"touch {marker}")]),
        "builtins.eval": pickle.dumps([Call(builtins.eval, code.decode())]),
        "builtins.exec": pickle.dumps({"R": Call(builtins.exec, code.decode())}),
        "__builtin__.eval": b"c__builtin__\neval\n(X" + struct.pack("<I", len(code)) + code + b"tR.",
        "numpy.save": pickle.dumps([Call(np.save, str(marker), 1)]),
        "numpy.savetxt": b"cnumpy\nsavetxt\n(" + long(text) + b"]tR.",
        # a dotted name walks from an allowed module to anything
        "numpy.lib.npyio.os.system": b"\x80\x04" + short(b"numpy") + short(b"lib.npyio.os.system") + b"\x93"
        + long(b"touch " + text) + b"\x85R.",
        # getattr(getattr(numpy.ndarray, "tofile") ...): methods of allowed names
        "builtins.getattr": b"\x80\x04" + get + short(b"numpy") + short(b"ndarray") + b"\x93" + short(b"tofile")
        + b"\x86R" + short(b"numpy") + short(b"ndarray") + b"\x93)R" + long(text) + b"\x86R.",
        "collections.OrderedDict.fromkeys.__class__": b"\x80\x04" + short(b"collections")
        + short(b"OrderedDict.fromkeys.__class__") + b"\x93.",
    }  # fmt: skip


LIVE = {"builtins.eval", "builtins.exec", "__builtin__.eval", "numpy.save", "numpy.savetxt"}


@pytest.mark.parametrize("name", payloads(Path("marker")))
def test_nothing_in_a_pickle_is_run(tmp_path, name):
    marker = tmp_path / "marker"
    payload = payloads(marker)[name]
    if name in LIVE or name.endswith("system.system"):  # the payload works where it is let
        pickle.loads(payload)
        made = [marker, marker.with_suffix(".npy")]
        assert any(path.exists() for path in made)
        for path in made:
            path.unlink(missing_ok=True)
    path = tmp_path / "a.pkl"
    path.write_bytes(payload)
    for function in (lambda: read(path, "pickle", TWO), lambda: columns_of(path, "pickle")):
        with pytest.raises(DataError, match=rf"^{path}: the pickle asks for {name}, which is not run\. Store numbers"):
            function()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        (b"torch._utils", r"tensor\.numpy\(\)"),
        (b"pandas.core.frame", r"to_dict\('list'\)"),
        (b"ase.atoms", "data_format: extxyz"),
    ],
)
def test_other_classes_are_refused_with_advice(tmp_path, module, advice):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"c" + module + b"\nThing\n)R.")
    with pytest.raises(DataError, match=rf"asks for {module.decode()}\.Thing, which is not run\. .*{advice}"):
        read(path, "pickle", TWO)


def test_pickles_one_after_the_other(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"".join(pickle.dumps(frame) for frame in make_frames([2, 3])))
    with pytest.raises(DataError, match=r"more data follows the first object\. Store all frames in one list"):
        read(path, "pickle", NAMES)


def test_pickles_of_something_else(tmp_path):
    with pytest.raises(
        DataError, match="holds an object of type float; expected a list of dicts, one per frame, or a dict"
    ):
        read(dump(tmp_path / "a.pkl", 1.0), "pickle", TWO)
    with pytest.raises(DataError, match="frame 1 is of type list; expected a list of dicts"):
        read(dump(tmp_path / "a.pkl", [{}, []]), "pickle", TWO)


def test_keys_that_are_no_text(tmp_path):
    path = dump(tmp_path / "a.pkl", {1: 2, "R": R2, "z": [6, 1]})
    assert list(columns_of(path, "pickle")) == ["R", "z"]
    assert len(read(path, "pickle", TWO)["N"]) == 2


def frames_and_columns():
    frames = [{"R": R, "z": [6, 1], "E": -1.5} for R in R2]
    return {
        "list": frames,
        "tuple": tuple(frames),
        "dict of frames": {"ethanol": frames[0], 7: frames[1]},
        "array of frames": np.array(frames, dtype=object),
        "columns": {"R": R2, "z": [6, 1], "E": [-1.5, -1.5]},
        "array of one dict": np.array({"R": R2, "z": [6, 1], "E": [-1.5, -1.5]}, dtype=object),
        "ordered": OrderedDict(R=R2, z=["C", "h"], E=np.array([-1.5, -1.5], dtype=object)),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", frames_and_columns())
def test_frames_and_columns_of_any_protocol(tmp_path, protocol, name):
    path = dump(tmp_path / "a.pkl", frames_and_columns()[name], protocol)
    assert format_of(path) == "pickle"
    found = read(path, "pickle", TWO | {"E": "E"})
    assert_array_equal(found["Ra"], R2.reshape(-1, 3))
    assert_array_equal(found["Za"], [6, 1, 6, 1])
    assert_array_equal(found["E"], [-1.5, -1.5])
    assert list(columns_of(path)) == ["R", "z", "E"]


@pytest.mark.parametrize("text", ["(c) 2026\n", "cloud\nwords\n", "[1, 2]", "}q", "(list)\n"])
def test_texts_that_begin_as_old_pickles_do(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert format_of(path) is None


def test_dicts_of_other_things(tmp_path):
    frames = [{"R": R2[0], "z": [6, 1]}]
    with pytest.raises(DataError, match=r"there is no 'R' \(Ra\)\. It has: train, test\."):
        read(dump(tmp_path / "a.pkl", {"train": frames, "test": frames}), "pickle", TWO)
    with pytest.raises(DataError, match=r"frame 1: there is no 'z' \(Za\)\. It has: R"):
        read(dump(tmp_path / "a.pkl", {"a": frames[0], "b": {"R": R2[1]}}), "pickle", TWO)
    with pytest.raises(DataError, match="frame 1 is of type list; expected a list of dicts"):
        read(dump(tmp_path / "a.pkl", np.array([{}, [], 3], dtype=object)), "pickle", TWO)


def test_keys_of_nested_tuples_are_refused_in_dicts_of_any_protocol(tmp_path):
    for content in (b"\x80\x02((K\x01\x85\x85K\x02d.", b"(dp0\n(((I1\ntttI2\ns."):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(DataError, match="the pickle has tuples of tuples as keys"):
            read(tmp_path / "a.pkl", "pickle", TWO)
