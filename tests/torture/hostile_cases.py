"""The malicious files by name."""

import bz2
import gzip
import json
import zipfile
import zlib

import h5py
import numpy as np
import torture.hostile_files as make
from torture.hostile_files import Write
from torture.hostile_pickles import MARK, pickles

NPZ: dict[str, Write] = {
    "objects": make.npz(make.npy((1, 2, 3), make.malicious, "|O")),
    "objects in records": make.npz(make.npy((1, 2, 3), make.malicious, [("a", "<f8"), ("b", [("c", "|O")])])),
    "more than there is": make.npz(make.npy((10**18, 2, 3))),
    "overflowing shape": make.npz(make.npy((2**62, 2**62, 3))),
    "negative shape": make.npz(make.npy((-1, -2, 3))),
    "rows of nothing": make.npz(make.npy((10**15, 2, 3), b"", "|S0")),
    "rows without columns": make.npz(make.npy((10**15, 0, 3), b"")),
    "code as header": make.npz(make.npy((), header=f"open({MARK!r}, 'w')")),
    "code in header": make.npz(make.npy((), header="{'descr': __import__('os').system('touch executed')}")),
    "code as type": make.npz(make.npy((1, 2, 3), descr="__import__('os')")),
    "deep header": make.npz(make.npy((), header="(" * 9000)),
    "header of 200 MB": make.npz(make.npy((), header=" " * 200_000_000)),
    "header that never ends": make.npz(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
    "lying directory": make.npz_with_lying_directory,
    "molecule of a million atoms": lambda folder: make.npz(make.zeros(1, 10**6, 3))(folder),
    "positions of nothing but zeros": lambda folder: make.npz(make.zeros(10**6, 2, 3))(folder),
    "in another directory": make.npz(make.npy((1, 2, 3)), name="../../executed"),
    "at the root": make.npz(make.npy((1, 2, 3)), name="/tmp/executed"),
    "another compression": make.npz(make.npy((1, 2, 3)), method=zipfile.ZIP_LZMA),
    "a pickle in the archive": make.npz(make.malicious),
    "a file of torch.save": make.torch_zip("data.npz"),
    "a pickle": lambda folder: (folder / "data.npz").write_bytes(make.malicious),
}
HDF5: dict[str, Write] = {
    "external link": make.hdf5(lambda f, d: f.__setitem__("R", h5py.ExternalLink(str(make.outside(d)), "R"))),
    "external link to a device": make.hdf5(lambda f, d: f.__setitem__("R", h5py.ExternalLink("/dev/zero", "R"))),
    "links one after the other": make.hdf5(make.through_two_links),
    "a link by way of a later group": make.hdf5(make.through_a_later_group),
    "links in a circle": make.hdf5(make.cycle),
    "passwords": make.hdf5(
        lambda f, d: f.create_dataset("R", (1, 2, 3), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    ),
    "virtual data set": make.hdf5(make.virtual),
    "never written": make.hdf5(lambda f, d: f.create_dataset("R", (10**12, 2, 3), chunks=(1, 2, 3))),
    "never written, one piece": make.hdf5(lambda f, d: f.create_dataset("R", (10**12, 2, 3))),
    "never written, one molecule": make.hdf5(lambda f, d: f.create_dataset("R", (1, 10**12, 3), chunks=(1, 1000, 3))),
    "chunk of a gigabyte": make.hdf5(
        lambda f, d: f.create_dataset("R", (50 * 10**6, 2, 3), chunks=(20 * 10**6, 2, 3), compression="gzip")
    ),
    "positions of nothing but zeros": make.hdf5(
        lambda f, d: f.create_dataset("R", data=np.zeros((10**5, 2, 3)), chunks=(1000, 2, 3), compression="gzip")
    ),
    "references": make.hdf5(lambda f, d: f.create_dataset("R", (1, 2, 3), h5py.ref_dtype)),
    "records": make.hdf5(lambda f, d: f.create_dataset("R", (1, 2, 3), [("a", "f8")])),
    "rows of any length": make.hdf5(lambda f, d: f.create_dataset("R", (1, 2, 3), h5py.vlen_dtype("f8"))),
    "times": make.of_type(h5py.h5t.UNIX_D64LE),
    "bit fields": make.of_type(h5py.h5t.STD_B8LE),
    "empty": make.hdf5(lambda f, d: f.create_dataset("R", data=h5py.Empty("f8"))),
    "deep groups": make.hdf5(make.deep),
    "group in itself": make.hdf5(make.group_of_itself),
    "a name that is no text": make.hdf5(make.no_text),
    "unknown filter": make.unknown_filter,
}
OTHERS: dict[str, dict[str, Write]] = {
    "extxyz": {
        "a billion columns": make.xyz("Properties=species:S:1:pos:R:3:x:R:1000000000"),
        "many columns": make.xyz("Properties=species:S:1:pos:R:3" + ":x:R:999999" * 100),
        "a number of atoms beyond all": make.xyz("E=1", count="9" * 5000),
        "a billion atoms": make.xyz("E=1", count="1000000000"),
        "deep JSON": make.xyz('a="_JSON ' + "[" * 100_000 + '"'),
        "code": make.xyz("Properties=species:S:1:pos:R:3 E=__import__('os').system('touch executed')"),
        "a line without end": make.compressed(b"1\n", b" " * 200_000_000),
        "frames without end": make.compressed(b"1\nE=0\nH 0 0 0\n" * 300_000),
        "packed twice": make.compressed(gzip.compress(b"1\nE=0\nH 0 0 0\n")),
        "packed otherwise": make.compressed(b"1\nE=0\nH 0 0 0\n" * 300_000, compress=bz2.compress),
    },
    "aselmdb": {
        "a pickle": make.lmdb_file(value=make.malicious),
        "a packed pickle": make.lmdb_file(value=zlib.compress(make.malicious)),
        "200 MB of nothing": make.lmdb_file(value=zlib.compress(b" " * 200_000_000)),
        "deep JSON": make.lmdb_file(value=zlib.compress(b"[" * 1_000_000)),
        "an array of one number": make.lmdb_file({"positions": {"__ndarray__": [[10**10], "float64", [1]]}}),
        "an array of objects": make.lmdb_file({"positions": {"__ndarray__": [[1], "object", ["x"]]}}),
        "an unknown class": make.lmdb_file({"data": {"E": {"__ase_objtype__": "os.system", "x": 1}}}),
        "a page that is its own child": make.lmdb_file(page2=(10, b"\x01\x00")),
        "a root beyond the file": make.lmdb_file(page0=(128, b"\xff" * 7), page1=(128, b"\xff" * 7)),
        "pages of no bytes": make.lmdb_file(page0=(40, bytes(4))),
        "pages of 4 GB": make.lmdb_file(page0=(40, b"\xff" * 4)),
        "pointers beyond the page": make.lmdb_file(page2=(12, b"\xff\xff")),
        "a value beyond the file": make.lmdb_file(page2=(16, b"\xf0\x0f")),
        "more values than there are": make.lmdb_file(page0=(120, b"\xff" * 7), page1=(120, b"\xff" * 7)),
    },
    "ase": {
        "a view": make.database(
            "ALTER TABLE systems RENAME TO s", "CREATE VIEW systems AS SELECT *, zeroblob(999999999) FROM s"
        ),
        "a computed column": make.database(
            "ALTER TABLE systems ADD COLUMN x BLOB GENERATED ALWAYS AS (zeroblob(999999999))"
        ),
        "an array of one number": make.database(
            """UPDATE systems SET key_value_pairs = '{"E": {"__ndarray__": [[10000000000], "float64", [1]]}}'"""
        ),
        "an array of objects": make.database(
            """UPDATE systems SET key_value_pairs = '{"E": {"__ndarray__": [[1], "object", ["x"]]}}'"""
        ),
        "an unknown class": make.database(
            """UPDATE systems SET key_value_pairs = '{"E": {"__ase_objtype__": "os.system", "x": 1}}'"""
        ),
        "a blob that is cut": make.database("UPDATE systems SET positions = x'00'"),
        "another version": make.database("UPDATE information SET value = '10000' WHERE name = 'version'"),
    },
    "csv": {
        "a field of a megabyte": make.csv("atom_type,atomic_energy\n" + "H" * 1_000_000 + ",1\n"),
        "a formula": make.csv("atom_type,atomic_energy\n=cmd|' /C calc'!A0,1\n"),
        "NUL": make.csv("atom_type,atomic_energy\nH\0,1\n"),
        "UTF-16": make.csv("atom_type,atomic_energy\nH,1\n".encode("utf-16")),
        "no end of a quotation": make.csv('atom_type,atomic_energy\n"' + "H\n" * 100_000),
        "many columns": make.csv(",".join(f"c{n}" for n in range(100_000)) + "\n"),
        "escapes of a terminal": make.csv("atom_type,atomic_energy\n\x1b]0;x\x07,1\n"),
        "a pickle": make.csv(make.malicious),
    },
    "yaml": {
        "apply": make.config("!!python/object/apply:os.system ['touch executed']"),
        "new": make.config("a: !!python/object/new:os.system ['touch executed']"),
        "name": make.config("a: !!python/name:os.system ''"),
        "tag by another name": make.config("%TAG !p! tag:yaml.org,2002:python/\n---\n!p!object/apply:os.system [x]"),
        "laughing aliases": make.config(make.laughing_yaml()),
        "alias of itself": make.config("a: &a [*a]"),
        "merged without end": make.config(
            "k0: &a0 {b: 1}\n" + "".join(f"k{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
        ),
        "deep list": make.config("[" * 100_000),
        "deep mapping": make.config("{a: " * 100_000),
        "base 60": make.config("a: " + "1:" * 300_000 + "1"),
        "base 60 with a point": make.config("a: " + "1:" * 300 + "1.5"),
        "no digits": make.config('a: !!int ""'),
        "no character": make.config('a: "\\UFFFFFFFF"'),
        "half a character": make.config('a: "\\ud800"'),
        "NUL": make.config("a: \0"),
        "too long": make.config("a: " + "x" * 2_000_000),
        "NUL in a path": make.toy("data_path: dataset.pkl", 'data_path: "dataset.pkl\\0"'),
        "folder above": make.toy("  FF01:", "  ../../FF01:"),
        "suffix above": make.toy("architecture: SchNet", "architecture: SchNet\n    suffix: /../../x"),
        "a function as layer": make.toy("name: Force", "name: os:system"),
        "a billion interactions": make.toy("num_interactions: 1", "num_interactions: 1000000000"),
        "a billion functions": make.toy("num_rbf: 10", "num_rbf: 1000000000"),
        "a billion features": make.toy("dim_embedding: 12", "dim_embedding: 1000000000"),
    },
    "link": {
        "best": make.link("FF01-SchNet/best.safetensors"),
        "last": make.link("FF01-SchNet/last.safetensors"),
        "model": make.link("FF01-SchNet"),
        "logs": make.link("logs"),
        "processed data": make.link("processed_dataset_0123456789abcdef"),
    },
    "potential": {
        "a function as architecture": make.described(architecture="os:system"),
        "a function as layer": make.described(layers__0__name="subprocess:Popen"),
        "a module that is not imported": make.described(architecture="antigravity:Core"),
        "a module behind a module": make.described(architecture="scipy:datasets"),
        "a billion interactions": make.described(layers__4__params__num_interactions=10**9),
        "large layers": make.described(layers__4__params__hidden_channels=60_000),
        "a billion features": make.described(layers__3__params__dim_embedding=10**9),
        "elements beyond all": make.described(layers__3__params__max_Za=10**12),
        "no number": make.described(layers__4__params__cutoff_sr=float("nan")),
        "a function as precision": make.described(dtype="load"),
        "a module as precision": make.described(dtype="os"),
        "whole numbers": make.described(dtype="int8"),
        "a list as precision": make.described(dtype=[]),
        "layers that are none": make.described(layers=[1, None]),
        "another version": make.described(format=10**30),
        "a list": make.description("[]"),
        "deep JSON": make.description("[" * 1_000_000),
        "long number": make.description('{"format": ' + "9" * 100_000 + "}"),
        "no text": make.description("\udcff".encode("utf8", "surrogateescape").decode("latin1") * 3),
        "header beyond the file": make.tensors("{}", length=2**63 - 1),
        "header of nothing": make.tensors("{}", length=0),
        "header that is no JSON": make.tensors("__import__('os').system('touch executed')"),
        "overlapping tensors": make.tensors({"a": make.tensor("F32", [2], 0, 8), "b": make.tensor("F32", [2], 0, 8)}),
        "backward tensor": make.tensors({"a": make.tensor("F32", [2], 8, 0)}),
        "overflowing shape": make.tensors({"a": make.tensor("F32", [2**62, 2**62], 0, 8)}),
        "tensor twice": make.tensors('{"a":' + json.dumps(make.tensor("F32", [2], 0, 8)) + "," + '"a":{}}'),
        "another type": make.one_of("F64", [1]),
        "another shape": make.one_of("F32", [1, 1]),
        "other tensors": make.tensors({"a": make.tensor("F32", [2], 0, 8)}),
        "a file of torch.save": make.parameters(make.saved()),
        "an old file of torch.save": make.parameters(make.saved(_use_new_zipfile_serialization=False)),
        "a pickle": make.parameters(make.malicious),
        "nothing": make.parameters(b""),
    },
}


def pickle_case(content: bytes) -> Write:
    return lambda folder: (folder / "data.pkl").write_bytes(content)


def cases() -> dict[str, tuple[str, Write]]:
    """Return name -> kind, and what writes the file."""
    # arrays of objects in npz files are pickles, and the same reads them
    objects = {
        f"objects, {name}": make.npz(make.npy((1, 2, 3), content, "|O"))
        for name, content in list(pickles().items())[::8]
    }
    kinds = {
        "pickle": {name: pickle_case(content) for name, content in pickles().items()},
        "npz": NPZ | objects,
        "hdf5": HDF5,
    }
    return {f"{kind}: {name}": (kind, write) for kind, of in (kinds | OTHERS).items() for name, write in of.items()}
