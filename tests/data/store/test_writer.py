"""What a store holds of the blocks that were written."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_molecules import HASH, HELIUM, WATER, Arrays, block, write

from pyg_nnp.data.store.layout import open_store, read_shared, stored_rows
from pyg_nnp.data.store.writer import write_store
from pyg_nnp.errors import DataError


def read(folder: Path) -> tuple[frozenset[str], Arrays, list[str]]:
    with open_store(folder, HASH) as (info, file):
        stored = stored_rows(file, info, dict.fromkeys(info.fields, torch.float64))
        arrays = {name: rows.read_all().numpy() for name, rows in stored.items()}
        arrays |= {name: read_shared(file, name, torch.float64).numpy() for name in info.shared}
        return info.shared, arrays, sorted(file["neighbor_lists"], key=int)


def joined(blocks: list[Arrays]) -> Arrays:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def test_same_molecule_is_stored_once_and_all_else_in_full(tmp_path: Path) -> None:
    blocks = [block(WATER, WATER), block(WATER)]
    shared, arrays, lists = read(write(tmp_path / "store", blocks))
    assert shared == {"N", "Za", "Q"}
    assert arrays["N"].tolist() == [3]
    assert arrays["Za"].tolist() == WATER
    assert arrays["Q"].tolist() == [0.0]
    assert lists == ["3"]
    np.testing.assert_array_equal(arrays["Ra"], joined(blocks)["Ra"])
    # to the last bit: -1e6 + 1/3 has no room for less than float64
    np.testing.assert_array_equal(arrays["E"], joined(blocks)["E"])


@pytest.mark.parametrize(
    ("odd_one_out", "still_shared"),
    [
        (block(WATER, HELIUM), {"Q"}),
        (block([1, 8, 1]), {"N", "Q"}),
        (block(WATER, Q=1.0), {"N", "Za"}),
        # two molecules with as many atoms in all as two of water
        (block([8, 1, 1, 8], [1, 1]), {"Q"}),
    ],
)
def test_sharing_ends_where_frames_differ(tmp_path: Path, odd_one_out: Arrays, still_shared: set[str]) -> None:
    blocks = [block(WATER, WATER), block(WATER), odd_one_out, block(WATER)]
    shared, arrays, _ = read(write(tmp_path / "store", blocks))
    assert shared == still_shared
    for name in {"N", "Za", "Q"} - still_shared:
        np.testing.assert_array_equal(arrays[name], joined(blocks)[name])


def test_no_sharing_without_compression(tmp_path: Path) -> None:
    blocks = [block(WATER, WATER)]
    shared, arrays, _ = read(write(tmp_path / "store", blocks, share=False))
    assert not shared
    for name, rows in joined(blocks).items():
        np.testing.assert_array_equal(arrays[name], rows)


def test_neighbor_list_once_per_size(tmp_path: Path) -> None:
    folder = write(tmp_path / "store", [block(WATER, HELIUM), block(WATER, [1, 1])])
    with open_store(folder) as (_, file):
        lists = {int(size): edges[()].tolist() for size, edges in file["neighbor_lists"].items()}
    assert lists == {1: [[], []], 2: [[1, 0], [0, 1]], 3: [[1, 2, 2, 0, 0, 1], [0, 0, 1, 1, 2, 2]]}


def test_later_values_are_not_cut_to_the_type_of_the_first(tmp_path: Path) -> None:
    first, later = block(WATER), block(WATER)
    first["E"] = np.array([-76])
    _, arrays, _ = read(write(tmp_path / "store", [first, later]))
    assert arrays["E"].tolist() == [-76.0, -1e6]
    later["E"] = np.array([-76.4])
    _, arrays, _ = read(write(tmp_path / "other", [first, later]))
    assert arrays["E"].tolist() == [-76.0, -76.4]


def test_blocks_with_other_fields_are_refused(tmp_path: Path) -> None:
    without_energy = block(WATER)
    del without_energy["E"]
    with pytest.raises(DataError, match=r"frame 1 .* same fields: E\."):
        write(tmp_path / "store", [block(WATER), without_energy])


def test_failure_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def blocks() -> Iterator[Arrays]:
        yield block(WATER)
        assert len(list((tmp_path / "store").iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "store", blocks())
    assert list((tmp_path / "store").iterdir()) == []


def test_old_store_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    folder = write(tmp_path / "store", [block(WATER)])
    (folder / "split.safetensors").write_text("kept")
    with write_store(folder, store_hash=HASH, sources={}, options={}) as writer:
        writer.append(block(WATER, WATER))
        with open_store(folder) as (info, _):
            assert info.num_frames == 1
    with open_store(folder) as (info, _):
        assert info.num_frames == 2
    assert (folder / "split.safetensors").read_text() == "kept"
    assert list(tmp_path.iterdir()) == [folder]


molecules = st.lists(st.integers(1, 118), min_size=1, max_size=4)
few_kinds = st.sampled_from([WATER, WATER, [1, 8, 1], HELIUM])
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def some_blocks(draw: st.DrawFn) -> list[Arrays]:
    kind = draw(st.sampled_from([molecules, few_kinds, st.just(WATER)]))
    charges = draw(st.sampled_from([st.just(0.0), st.sampled_from([0.0, -1.0])]))
    blocks = []
    for Za in draw(st.lists(st.lists(kind, min_size=1, max_size=3), min_size=1, max_size=4)):
        N = [len(one) for one in Za]
        numbers = st.lists(finite, min_size=3 * sum(N), max_size=3 * sum(N))
        blocks.append(
            {
                "N": np.array(N),
                "Za": np.concatenate([np.array(one) for one in Za]),
                "Q": np.array([draw(charges) for _ in N]),
                "Ra": np.array(draw(numbers)).reshape(-1, 3),
            }
        )
    return blocks


@settings(max_examples=60, deadline=None)
@given(blocks=some_blocks(), share=st.booleans())
def test_round_trip(blocks: list[Arrays], share: bool) -> None:
    expected = joined(blocks)
    num_frames = len(expected["N"])
    with tempfile.TemporaryDirectory() as tmp:
        shared, arrays, lists = read(write(Path(tmp) / "store", blocks, share))
    same_size = len(set(expected["N"].tolist())) == 1
    same_molecule = same_size and len({tuple(Za) for Za in expected["Za"].reshape(num_frames, -1).tolist()}) == 1
    truly_shared = {"N": same_size, "Za": same_molecule, "Q": len(set(expected["Q"].tolist())) == 1, "Ra": False}
    assert shared == {name for name, same in truly_shared.items() if same and share}
    for name, rows in expected.items():
        found = np.tile(arrays[name], num_frames) if name in shared else arrays[name]
        np.testing.assert_array_equal(found, rows, strict=False)
    assert lists == [str(size) for size in sorted(set(expected["N"].tolist()))]
