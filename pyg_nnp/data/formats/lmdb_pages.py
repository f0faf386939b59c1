"""Where the values in an LMDB file lie.

The library of LMDB trusts its files: it ends the process, without a message, where one is cut short or damaged. To read
them takes little: a file is pages of one size, which are the nodes of a B+ tree (``lmdb.h`` and ``mdb.c`` of LMDB 0.9).
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

MAGIC = rb"(?s:.{16})\xde\xc0\xef\xbe"
_META = struct.Struct("<16xIIQQ I H H 5Q I H H 5Q QQ")  # after the page header: magic, version, ..., last transaction
_PAGE = struct.Struct("<8x2xHHH")  # flags, end of the pointers, beginning of the nodes
_HEADER = _PAGE.size
_NODE = struct.Struct("<HHHH")  # low and high part of a size or page, flags or a higher part, length of the key
_IS_BRANCH, _IS_LEAF = 1, 2
_IS_ELSEWHERE, _IS_TREE = 1, 6  # flags of nodes: the value has pages of its own; it is a tree
_NO_PAGE = 2**64 - 1


def value_places(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield key, offset and size of each value of the main database, in the order of the keys.

    Raises:
        ValueError, struct.error: the file is damaged, or no LMDB file.
    """
    size = os.fstat(file.fileno()).st_size
    page_size, root, num_entries = _newest_root(file)
    seen: set[int] = set()
    waiting, count = [root] if root != _NO_PAGE else [], 0
    while waiting:
        number = waiting.pop()
        if number in seen or (number + 1) * page_size > size:
            raise ValueError("a page that is not there, or is referred to twice")
        seen.add(number)
        page = os.pread(file.fileno(), page_size, number * page_size)
        flags, pointers_end, _ = _PAGE.unpack_from(page)
        if not flags & (_IS_BRANCH | _IS_LEAF):
            raise ValueError(f"page {number} is none of a tree")
        children = []
        for at in struct.unpack_from(f"<{max(0, pointers_end - _HEADER) // 2}H", page, _HEADER):
            low, high, node_flags, key_size = _NODE.unpack_from(page, at)
            if flags & _IS_BRANCH:
                children.append(low | high << 16 | node_flags << 32)
                continue
            key, after = page[at + _NODE.size :][:key_size], at + _NODE.size + key_size
            offset, length = number * page_size + after, low | high << 16
            if node_flags & _IS_ELSEWHERE:
                offset = struct.unpack_from("<Q", page, after)[0] * page_size + _HEADER
            if offset + length > size or node_flags & _IS_TREE:
                raise ValueError(f"the value of {key!r} is not in the file")
            count += 1
            yield key, offset, length
        waiting.extend(reversed(children))
    if count != num_entries:
        raise ValueError(f"{count} of {num_entries} values")


def _newest_root(file: BinaryIO) -> tuple[int, int, int]:
    """Return the size of a page, the first page of the tree, and the number of values, as the last commit left them."""
    first = _META.unpack(os.pread(file.fileno(), _META.size, 0))
    page_size = first[4]
    if page_size not in {1 << n for n in range(9, 17)}:
        raise ValueError(f"pages of {page_size} bytes")
    second = _META.unpack(os.pread(file.fileno(), _META.size, page_size))
    meta = max(first, second, key=lambda values: values[-1])
    if meta[:2] != first[:2] or meta[1] != 1:
        raise ValueError(f"version {meta[1]} of the format")
    return page_size, meta[-3], meta[-4]
