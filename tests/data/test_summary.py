"""What is known of all frames, against numbers worked out frame by frame."""

import hashlib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.data import MoleculeDataset

Frame = dict[str, Any]
MakeStore = Callable[..., Path]
OpenDataset = Callable[..., MoleculeDataset]


def shortest(frames: list[Frame]) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for frame in frames:
        for i, j in combinations(range(len(frame["Za"])), 2):
            low, high = sorted(frame["Za"][[i, j]].tolist())
            distance = float(np.linalg.norm(frame["Ra"][i] - frame["Ra"][j]))
            found[low, high] = min(distance, found.get((low, high), distance))
    return found


def test_numbers_of_each_frame(frames: list[Frame], make_store: MakeStore) -> None:
    summary = MoleculeDataset(make_store(frames), dtype=torch.float64).summary
    assert summary.elements.tolist() == [1, 2, 8, 11]
    assert summary.sizes.tolist() == [3, 1, 2, 1]
    assert summary.counts.tolist() == [[2, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert summary.Q.tolist() == [0, 0, -1, 1]
    assert summary.E.tolist() == [frame["E"] for frame in frames]
    forces_of = [frame["Fa"] for frame in frames]
    np.testing.assert_allclose(summary.largest_force, [np.linalg.norm(F, axis=1).max() for F in forces_of])
    np.testing.assert_allclose(summary.net_force, [np.linalg.norm(F.sum(axis=0)) for F in forces_of])
    np.testing.assert_allclose(summary.charge_error, [frame["Qa"].sum() - frame["Q"] for frame in frames])
    every_force = np.concatenate(forces_of)
    assert summary.ranges["Fa"] == pytest.approx((every_force.min(), every_force.max(), every_force.mean()))
    assert set(summary.ranges) == {"N", "Ra", "Za", "Q", "E", "Fa", "Qa", "M2"}
    assert summary.charges == [-1, 0, 1]
    assert summary.compositions == ["H2O", "HO", "He", "Na"]
    assert len(set(summary.molecules.tolist())) == 4


def test_shortest_distances(frames: list[Frame], make_store: MakeStore) -> None:
    rng = np.random.default_rng(0)
    more = [*frames, frames[0] | {"Ra": rng.normal(size=(3, 3))}]
    labels = {"Fa": np.zeros((4, 3)), "Qa": np.zeros(4)}
    more += [frames[0] | labels | {"N": 4, "Za": np.array([1, 6, 8, 6]), "Ra": rng.normal(size=(4, 3))}]
    summary = MoleculeDataset(make_store(more), dtype=torch.float64).summary
    for chosen in ([0], [1], [5, 2], [3, 1], range(6)):
        expected = shortest([more[i] for i in chosen])
        found = summary.shortest_distances(torch.tensor(chosen))
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, rel=1e-14)
    assert summary.elements_in(torch.tensor([2, 1])) == [1, 2, 8]


def test_fingerprint_is_that_of_elements_and_positions(frames: list[Frame], make_store: MakeStore) -> None:
    rows = [np.array([frame["N"] for frame in frames])]
    rows += [np.concatenate([frame[name] for frame in frames]) for name in ("Za", "Ra")]
    rows[2] = rows[2].astype(np.float32)
    expected = hashlib.sha256(b"".join(values.tobytes() for values in rows)).hexdigest()
    assert MoleculeDataset(make_store(frames)).summary.fingerprint == expected
    moved = [frames[0] | {"Ra": frames[0]["Ra"] + 1e-3}, *frames[1:]]
    assert MoleculeDataset(make_store(moved)).summary.fingerprint != expected


def test_pieces_do_not_matter(frames: list[Frame], open_dataset: OpenDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(frames * 5)
    whole = dataset.summary
    monkeypatch.setattr("pyg_nnp.data.summary.MAX_PAIRS", 1)
    in_pieces = dataset[:].summary
    assert {**vars(in_pieces), "ranges": {}}.keys() == vars(whole).keys()
    for name, value in vars(whole).items():
        if name == "ranges":
            assert all(in_pieces.ranges[field] == pytest.approx(numbers) for field, numbers in value.items())
        else:
            np.testing.assert_equal(getattr(in_pieces, name), value, err_msg=name)


def test_subsets_and_copies_have_their_own(frames: list[Frame], open_dataset: OpenDataset) -> None:
    dataset = open_dataset(frames)
    assert dataset.elements == [1, 2, 8, 11]
    kept = sorted(dataset.folder.iterdir())
    for part in (dataset[2:], dataset[[1]].copy(), dataset.copy([3, 0])):
        expected = {int(Z) for i in range(len(part)) for Z in part[i].Za}
        assert set(part.elements) == expected
        assert part.summary.E.tolist() == [float(part[i].E) for i in range(len(part))]
        assert part.summary.fingerprint != dataset.summary.fingerprint
    assert sorted(dataset.folder.iterdir()) == kept
