import hashlib
import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from pyg_nnp.data.store.sealed import BLOCK, Content, SealedFile, seal
from pyg_nnp.errors import DataError

SIZES = [0, 1, 31, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17]


def sealed(path: Path, size: int) -> bytes:
    content = random.Random(size).randbytes(size)
    path.write_bytes(content)
    seal(path)
    return content


def read(file: SealedFile, *pieces: tuple[int, int]) -> bytes:
    offsets, sizes = np.array(pieces, dtype=np.int64).T
    buffer = bytearray(int(sizes.sum()))
    file.read_into(memoryview(buffer), offsets, sizes)
    return bytes(buffer)


@pytest.mark.parametrize("size", SIZES)
def test_size_and_pieces_are_those_of_the_content(tmp_path: Path, size: int) -> None:
    content = sealed(tmp_path / "file", size)
    file = SealedFile(tmp_path / "file")
    assert file.size == size
    file.verify()
    dice = random.Random(size)
    for _ in range(20 * bool(size)):
        pieces = [(first := dice.randrange(size), dice.randrange(1, size - first + 1)) for _ in range(3)]
        fresh = SealedFile(tmp_path / "file")
        assert read(fresh, *pieces) == b"".join(content[first : first + count] for first, count in pieces)
    assert Content(file).read() == content


def test_layout_is_as_described(tmp_path: Path) -> None:
    content = sealed(tmp_path / "file", 2 * BLOCK + 5)
    written = (tmp_path / "file").read_bytes()
    blocks = content[:BLOCK], content[BLOCK : 2 * BLOCK], content[2 * BLOCK :]
    digests = b"".join(hashlib.sha256(block).digest() for block in blocks)
    root = hashlib.sha256(digests).hexdigest()
    assert written == content + digests + f"\npyg_nnp store, layout 003, sha256 {root}\n".encode()
    assert SealedFile(tmp_path / "file").digest == root


def test_each_damaged_byte_is_found_where_it_is_read_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sealed(path, 5 * BLOCK + 17)
    written = path.read_bytes()
    dice = random.Random(0)
    for place in [0, BLOCK - 1, BLOCK, 5 * BLOCK + 16, *(dice.randrange(5 * BLOCK) for _ in range(20))]:
        path.write_bytes(written[:place] + bytes([written[place] ^ 1 << dice.randrange(8)]) + written[place + 1 :])
        file, block = SealedFile(path), place // BLOCK
        for other in (number for number in range(6) if number != block):
            read(file, (other * BLOCK, 5))
        message = rf"file: the processed data set is cut short or damaged: bytes {block * BLOCK} to "
        # all of the content is a piece with the block somewhere within
        for pieces in ([(block * BLOCK, 1)], [(5, 1), (place, 1)], [(0, file.size)]):
            with pytest.raises(DataError, match=message):
                read(file, *pieces)
            with pytest.raises(DataError, match=message):
                read(SealedFile(path), *pieces)
        with pytest.raises(DataError, match=message):
            file.verify()
    for place in (len(written) - 1, len(written) - 20, file.size + 5):
        path.write_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
        with pytest.raises(DataError, match=r"file: the processed data set is cut short or damaged, or was written by"):
            SealedFile(path)


def test_a_copy_in_another_process_compares_too(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = sealed(path, 2 * BLOCK)
    file = SealedFile(path)
    read(file, (0, 1))
    other = pickle.loads(pickle.dumps(file))
    before = path.stat()
    with path.open("r+b") as written:
        written.seek(BLOCK)
        written.write(bytes([content[BLOCK] ^ 1]))
    with pytest.raises(DataError, match=r"was changed after it was opened"):
        read(other, (BLOCK, 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read(other, (0, 1)) == content[:1]
    with pytest.raises(DataError, match=r"is cut short or damaged: bytes 65536 to 131072 are not what was written"):
        read(other, (BLOCK, 1))
