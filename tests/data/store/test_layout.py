import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import torch
from stored_molecules import HASH, HELIUM, WATER, block, write

from pyg_nnp.data.store.layout import FILE_NAME, open_store, stored_rows
from pyg_nnp.data.store.sealed import BLOCK, SealedFile, seal
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
    path.write_bytes(path.read_bytes()[: SealedFile(path).size])


def layout_of_before(path: Path) -> None:
    """Let the last line have the digest of all bytes, as it had."""
    without_seal(path)
    content = path.read_bytes()
    path.write_bytes(content + f"\npyg_nnp store, layout 002, sha256 {hashlib.sha256(content).hexdigest()}\n".encode())


def other_hash(path: Path) -> None:
    without_seal(path)
    with h5py.File(path, "a") as file:
        file.attrs["hash"] = "f" * 16
    seal(path)


def other_content(path: Path) -> None:
    """Seal something else than a store."""
    without_seal(path)
    with h5py.File(path, "a") as file:
        del file["fields"]
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
        (layout_of_before, "has layout 2, but this version of pyg_nnp reads 3"),
        (other_content, "does not hold what a processed data set does"),
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


def test_of_a_large_store_what_is_read_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage of rows is found where they are read, that of HDF5's own bytes where HDF5 reads them."""
    monkeypatch.setattr("pyg_nnp.data.store.layout._SMALL", 0)
    folder = write(tmp_path / f"processed_dataset_{HASH}", [block(*[WATER] * 20_000)])
    path = folder / FILE_NAME
    content = path.read_bytes()
    with open_store(folder) as (info, file):
        rows = stored_rows(file, info, {"Ra": torch.float64, "E": torch.float64})["Ra"]
        place = int(rows.offsets[0]) + 5 * BLOCK
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    damaged = re.escape(f"{path}: the processed data set is cut short or damaged: bytes {place // BLOCK * BLOCK} to ")
    with open_store(folder) as (info, file):
        rows = stored_rows(file, info, {"Ra": torch.float64, "E": torch.float64})["Ra"]
        assert rows.read(torch.tensor([0]), torch.tensor([3])).tolist() == rows_of_first_frame()
        frame = (place - int(rows.offsets[0])) // 24
        with pytest.raises(DataError, match=damaged):
            rows.read(torch.tensor([0, frame]), torch.tensor([1, 1]))
        with pytest.raises(DataError, match=damaged):
            rows.read_all()
    with pytest.raises(DataError, match=damaged), open_store(folder, whole=True):
        pass
    path.write_bytes(bytes([content[0], content[1] ^ 1]) + content[2:])
    with pytest.raises(DataError, match=r"is cut short or damaged: bytes 0 to "), open_store(folder):
        pass


def rows_of_first_frame() -> list[list[float]]:
    return block(*[WATER] * 20_000)["Ra"][:3].tolist()
