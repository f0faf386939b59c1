import re
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from stored_molecules import HASH, HELIUM, WATER, block, write

from pyg_nnp.data.store.layout import FILE_NAME, open_store, seal
from pyg_nnp.errors import DataError


def test_what_a_store_says_of_itself(tmp_path: Path) -> None:
    folder = write(tmp_path / "store", [block(WATER, HELIUM)], atomic_energies={1: -0.5, 8: -74.8})
    with open_store(folder) as (info, _):
        assert info.hash == HASH
        assert info.num_frames == 2
        assert info.fields == ("N", "Ra", "Za", "Q", "E")
        assert info.sources == {"Ra": "xyz"}
        assert info.options == {"some": 1}
        assert info.atomic_energies == {1: -0.5, 8: -74.8}


def without_seal(path: Path) -> None:
    path.write_bytes(path.read_bytes().partition(b"\npyg_nnp store")[0])


def other_layout(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"layout 002", b"layout 001"))


def other_hash(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["hash"] = "f" * 16
    without_seal(path)
    seal(path)


def without_fields(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["fields"]


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def something_else(path: Path) -> None:
    path.write_text("no store")


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGED = "is cut short or damaged"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (without_seal, DAMAGED),
        (other_layout, "has layout 1, but this version of pyg_nnp reads 2"),
        (other_hash, f"has the hash {'f' * 16}, but {HASH} is asked for"),
        (without_fields, DAMAGED),
        (truncated, DAMAGED),
        (something_else, DAMAGED),
        (empty, DAMAGED),
    ],
)
def test_unusable_stores_are_not_opened(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    folder = write(tmp_path / f"processed_dataset_{HASH}", [block(WATER)])
    harm(folder / FILE_NAME)
    # the name of the folder says which hash it must be
    with pytest.raises(DataError, match=re.escape(message)), open_store(folder):
        pass


def test_no_store_at_all(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"nowhere: there is no processed data set here"),
        open_store(tmp_path / "nowhere"),
    ):
        pass
