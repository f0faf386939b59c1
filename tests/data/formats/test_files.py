"""Text in any encoding that has a byte order mark, and compressed."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from frame_files import TWO, read
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.files import first_bytes, text_lines
from pyg_nnp.data.formats.readers import columns_of, format_of
from pyg_nnp.errors import DataError

XYZ = """\
2
Properties=species:S:1:pos:R:3 energy=-3 name="é"
O 0 0 0
H 0 0 1
"""
NAMES = {"Ra": "positions", "Za": "numbers", "E": "energy"}
COMPRESS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("compress", [bytes, *COMPRESS])
def test_encodings(tmp_path: Path, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    text = "\ufeff" + XYZ if encoding == "utf-16-le" else XYZ
    if compress is not bytes and "16" in encoding:
        return
    path = tmp_path / "a.xyz"
    path.write_bytes(compress((text * 2 if encoding == "utf-8" else text).encode(encoding)))
    assert format_of(path) == "extxyz"
    found = read(path, "extxyz", NAMES)
    assert_array_equal(found["Za"], [8, 1] * len(found["N"]))
    assert_array_equal(found["E"], [-3] * len(found["N"]))
    assert {"name", "energy"} <= set(columns_of(path))


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "\n", " \n"])
def test_lines_of_other_systems(tmp_path: Path, newline: str, before: str) -> None:
    path = tmp_path / "a.xyz"
    path.write_bytes((before + XYZ).replace("\n", newline).encode())
    assert_array_equal(read(path, format_of(path), NAMES)["E"], [-3])


@pytest.mark.parametrize("compress", COMPRESS)
def test_compressed_files_that_are_damaged(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.xyz.gz"
    frames = "".join(XYZ.replace("-3", str(i * 0.37)) for i in range(3000))
    content = compress(frames.encode())
    for cut in (20, len(content) // 2, len(content) - 4):
        path.write_bytes(content[:cut])
        with pytest.raises(
            DataError, match=rf"^{path}: (the compressed file is damaged, or cut|data_format is 'extxyz')"
        ):
            read(path, "extxyz", NAMES)
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=rf"^{path}: "):
        read(path, "extxyz", NAMES)


@pytest.mark.parametrize("compress", COMPRESS)
def test_other_compressed_files_and_those_that_are_packed_too_well(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(compress(b"words"))
    with pytest.raises(DataError, match="looks like a compressed file; unpack it first"):
        read(path, "npz", TWO)
    path.write_bytes(compress(XYZ.replace("-3", "0" * 10_000_000).encode()))
    with pytest.raises(DataError, match="no data are packed so well"):
        read(path, "extxyz", NAMES)


def test_lines_are_of_some_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_nnp.data.formats.files._LONGEST_LINE", 100)
    path = tmp_path / "a.xyz"
    path.write_text("a" * 99 + "\n" + "b" * 98 + "\n")
    with pytest.raises(DataError, match="there is a line of 100 characters or more"):
        list(text_lines(path))
    path.write_text("b" * 98 + "\n" + "c")
    assert list(text_lines(path)) == ["b" * 98 + "\n", "c"]
    assert first_bytes(path, 3) == b"bbb"
