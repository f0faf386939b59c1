"""Files of all other kinds that lie about what they hold, point elsewhere, or ask to be run.

Each function writes one into a folder that has a data set, a configuration, and ``model``, a saved potential.
"""

import gzip
import io
import json
import pickle
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.db
import h5py
import lmdb
import numpy as np
import torch
from ase import Atoms
from safetensors.torch import save_file
from torture.hostile_pickles import MARK, call
from toy import TOY_CONFIG

from pyg_nnp.potential.checkpoint import BEST, read_saved, sealed

Write = Callable[[Path], Any]
R, z = np.arange(6.0).reshape(1, 2, 3), np.array([[6, 1]])


def npy(
    shape: Any, content: bytes = R.tobytes(), descr: Any = "<f8", header: str | None = None, order: bool = False
) -> bytes:
    header = header or repr({"descr": descr, "fortran_order": order, "shape": shape})
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header.encode() + content


def npz(R_member: bytes, name: str = "R.npy", method: int = zipfile.ZIP_DEFLATED) -> Write:
    def write(folder: Path) -> None:
        with zipfile.ZipFile(folder / "data.npz", "w", method) as archive:
            archive.writestr(name, R_member)
            archive.writestr("z.npy", npy((1, 2), z.astype("f8").tobytes()))
            archive.writestr("E.npy", npy((1,), bytes(8)))

    return write


def npz_with_lying_directory(folder: Path) -> None:
    claimed, held = npy((10**9, 1, 3), b""), npy((10**9, 1, 3))
    npz(held, method=zipfile.ZIP_STORED)(folder)
    content = bytearray((folder / "data.npz").read_bytes())
    entry = content.index(b"PK\x01\x02")
    for place in (20, 24):  # sizes in the directory; 4 GB less one is the most without another extension
        content[entry + place : entry + place + 4] = struct.pack("<I", min(len(claimed) + 24 * 10**9, 2**32 - 2))
    (folder / "data.npz").write_bytes(bytes(content))


def zeros(*shape: int, order: bool = False) -> bytes:
    """Positions that are all 0, which compress a thousand times."""
    return npy(shape, bytes(8 * int(np.prod(shape))), order=order)


def torch_zip(name: str) -> Write:
    return lambda folder: torch.save({"R": torch.ones(1)}, folder / name)


def hdf5(change: Callable[[h5py.File, Path], Any]) -> Write:
    def write(folder: Path) -> None:
        with h5py.File(folder / "data.h5", "w") as file:
            file["z"], file["E"] = z, [1.0]
            change(file, folder)
            if not file.id.links.exists(b"R"):
                file["R"] = R

    return write


def outside(folder: Path) -> Path:
    """Write a file that nothing here may read or change."""
    path = folder.parent / "outside" / "secret.h5"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        with h5py.File(path, "w") as file:
            file["R"], file["fields/Ra"] = R, R[0]
    return path


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((1, 2, 3), "f8")
    layout[:] = h5py.VirtualSource(str(outside(folder)), "R", (1, 2, 3))
    file.create_virtual_dataset("R", layout)


def through_two_links(file: h5py.File, folder: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(outside(folder)), "/")
    file["R"] = h5py.SoftLink("/elsewhere/R")


def through_a_later_group(file: h5py.File, folder: Path) -> None:
    file["a/R"], file["a/z"], file["a/E"] = R, h5py.SoftLink("/b/elsewhere/z"), [1.0]
    file["b/elsewhere"] = h5py.ExternalLink(str(outside(folder)), "/")


def cycle(file: h5py.File, folder: Path) -> None:
    file["R"], file["again"] = h5py.SoftLink("/again"), h5py.SoftLink("/R")


def deep(file: h5py.File, folder: Path) -> None:
    group: Any = file
    for _ in range(400):
        group = group.create_group("g")
    group["R"] = R


def no_text(file: h5py.File, folder: Path) -> None:
    group = file.create_group(b"\xff\xfe\x1b[2J")
    group["R"] = R


def of_type(kind: Any) -> Write:
    return hdf5(lambda file, folder: h5py.h5d.create(file.id, b"R", kind, h5py.h5s.create_simple((1, 2, 3))))


def group_of_itself(file: h5py.File, folder: Path) -> None:
    file["g/R"], file["g/self"] = R, h5py.SoftLink("/g")
    file["g/hard"] = file["g"]


def unknown_filter(folder: Path) -> None:
    hdf5(lambda file, _: file.create_dataset("R", data=R, chunks=R.shape, compression="gzip"))(folder)
    content = (folder / "data.h5").read_bytes()
    (folder / "data.h5").write_bytes(
        content.replace(b"\x01\x00\x08\x00\x01\x00\x01\x00deflate", b"\x39\x30\x08\x00\x01\x00\x01\x00deflate")
    )


def xyz(comment: str, atoms: str = "H 0 0 0\nH 0 0 1\n", count: str = "2") -> Write:
    return lambda folder: (folder / "data.xyz").write_text(f"{count}\n{comment}\n{atoms}")


def compressed(*parts: bytes, compress: Callable[[bytes], bytes] = gzip.compress) -> Write:
    return lambda folder: (folder / "data.xyz").write_bytes(compress(b"".join(parts)))


def lmdb_file(row: Any = None, value: bytes | None = None, **patches: tuple[int, bytes]) -> Write:
    """A database of one row, or value, with bytes of some pages replaced."""
    full = {"numbers": [6, 1], "positions": R[0].tolist(), "data": {"E": 1.0}} | (row or {})
    packed = zlib.compress(json.dumps(full).encode()) if value is None else value

    def write(folder: Path) -> None:
        path = folder / "data.aselmdb"
        with lmdb.open(str(path), subdir=False, map_size=1 << 24) as environment, environment.begin(write=True) as rows:
            rows.put(b"1", packed)
        content = bytearray(path.read_bytes())
        for page, (offset, replaced) in patches.items():
            at = int(page.removeprefix("page")) * 4096 + offset
            content[at : at + len(replaced)] = replaced
        path.write_bytes(content)
        path.with_name(f"{path.name}-lock").unlink()

    return write


def database(*statements: str) -> Write:
    def write(folder: Path) -> None:
        path = folder / "data.db"
        connect: Any = ase.db.connect
        with connect(path) as made:
            made.write(Atoms("H2", [[0, 0, 0], [0, 0, 1]]), key_value_pairs={"E": 1.0})
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    return write


def csv(content: str | bytes) -> Write:
    content = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / "atomic_energy.csv").write_bytes(content)


def config(content: str) -> Write:
    return lambda folder: (folder / "train.yaml").write_text(content)


def toy(old: str, new: str) -> Write:
    assert old in TOY_CONFIG
    return config(TOY_CONFIG.replace(old, new, 1))


def described(**changes: Any) -> Write:
    """Change the JSON of a saved potential, and make its digest right; ``a__0__b`` is a place in it."""

    def write(folder: Path) -> None:
        document, parameters = read_saved(folder / "model" / BEST)
        for place, value in changes.items():
            *above, key = [int(part) if part.isdecimal() else part for part in place.split("__")]
            target: Any = document
            for part in above:
                target = target[part]
            target[key] = value
        (folder / "model" / BEST).write_bytes(sealed(document, parameters)[0])

    return write


def description(content: str) -> Write:
    return lambda folder: save_file({"x": torch.ones(1)}, folder / "model" / BEST, {"potential": content})


def parameters(content: bytes | Callable[[bytes], bytes]) -> Write:
    def write(folder: Path) -> None:
        path = folder / "model" / BEST
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)

    return write


def tensors(header: dict[str, Any] | str, length: int | None = None, data: bytes = bytes(8)) -> Write:
    """Write safetensors with a header of choice."""
    raw = (header if isinstance(header, str) else json.dumps(header)).encode()
    return parameters(struct.pack("<Q", len(raw) if length is None else length) + raw + data)


def saved(**arguments: Any) -> bytes:
    file = io.BytesIO()
    torch.save({"x": Danger()}, file, **arguments)
    return file.getvalue()


class Danger:
    def __reduce__(self) -> Any:
        return eval, (f"open({MARK!r}, 'w')",)


def link(place: str, target: str = "outside") -> Write:
    """Put a link out of the output folder where a run would write."""

    def write(folder: Path) -> None:
        outside(folder)
        path = folder / "out" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(folder.parent / target)

    return write


def tensor(dtype: str, shape: list[int], *offsets: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def one_of(dtype: str, shape: list[int]) -> Write:
    """Change the entry of the first parameter in the header of a saved potential."""

    def change(content: bytes) -> bytes:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        name = next(name for name in header if name != "__metadata__")
        header[name] |= {"dtype": dtype, "shape": shape}
        raw = json.dumps(header).encode()
        return struct.pack("<Q", len(raw)) + raw + content[8 + length :]

    return parameters(change)


def laughing_yaml() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    return "\n".join(lines)


pickled = pickle.dumps([1, 2])
malicious = call("os", "system", (f"touch {MARK}",))
