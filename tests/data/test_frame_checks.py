"""What is refused before it enters the store, atoms that overlap in particular."""

import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset, preprocess
from pyg_nnp.data.frame_checks import Checks, any_closer_than
from pyg_nnp.data.source import Block, DataSource
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
MakeConfig = Callable[..., Config]
WritePickle = Callable[..., Path]


def set_row(frame: Frame, name: str, row: int, value: float) -> Frame:
    changed = np.array(frame[name], dtype=np.float64)
    changed[row] = value
    return frame | {name: changed}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: set_row(f, "Fa", 1, np.nan), r"frame 2: 'grad' \(Fa\) of atom 1 is \[nan, nan, nan\]; a number is"),
        (lambda f: set_row(f, "Qa", 0, np.inf), r"frame 2: 'mulliken' \(Qa\) of atom 0 is inf; a number is needed\."),
        (
            lambda f: f | {"E": np.nan},
            r"frame 2: 'energy' \(E\) is nan; a number is needed, or E in Datahub\.allow_missing\.",
        ),
        (lambda f: f | {"M2": [0, -np.inf, 0]}, r"frame 2: 'dip' \(M2\) is \[0\.0, -inf, 0\.0\]; a number is needed\."),
        (lambda f: set_row(f, "Za", 1, 119), r"frame 2: 'z' \(Za\) of atom 1 is 119; elements go from 1 .* to 118"),
        (lambda f: set_row(f, "Za", 0, -8), r"frame 2: 'z' \(Za\) of atom 0 is -8; elements go from 1"),
        (
            lambda f: f | {"Ra": [[0, 0, 0], [0, 0.1, 0]]},
            r"frame 2: 'xyz' \(Ra\) puts atoms 0 and 1 at a distance of 0\.1, below 0\.2 Å \(0\.2 with Bohr_in_R: 0",
        ),
    ],
)
def test_bad_values(
    frames: list[Frame],
    make_config: MakeConfig,
    write_pickle: WritePickle,
    out: Path,
    change: Callable[[Frame], Frame],
    message: str,
) -> None:
    path = write_pickle([*frames[:2], change(frames[2]), frames[3]])
    with pytest.raises(DataError, match=re.escape(str(path)) + ": " + message):
        preprocess(make_config(), out)
    assert list(out.iterdir()) == [], "nothing half-made is left"


def test_frames_are_counted_over_the_whole_file(
    waters: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path
) -> None:
    many = waters * 250
    many[1101] = many[1101] | {"E": np.nan}
    write_pickle(many)
    with pytest.raises(DataError, match=r"frame 1101: 'energy' \(E\) is nan"):
        preprocess(make_config(), out)


@pytest.mark.parametrize(("bohr_in_r", "limit"), [(0.529177, 0.2), (1.0, 0.37794), (5.29177, 2.0)])
def test_overlap_is_in_the_unit_of_the_data(
    frames: list[Frame], make_config: MakeConfig, write_pickle: WritePickle, out: Path, bohr_in_r: float, limit: float
) -> None:
    # atoms of different frames may be anywhere
    apart = [frames[1] | {"Ra": [[0.0, 0.0, 0.0]]}, frames[3] | {"Ra": [[0.0, 0.0, 0.0]]}]
    write_pickle([*apart, frames[2] | {"Ra": [[0.0, 0.0, -limit * 0.5], [0.0, 0.0, limit * 0.501]]}])
    assert len(MoleculeDataset.from_config(make_config(bohr_in_r), out)) == 3
    write_pickle([*apart, frames[2] | {"Ra": [[0.0, 0.0, -limit * 0.5], [0.0, 0.0, limit * 0.499]]}])
    with pytest.raises(DataError, match=r"frame 2: .* puts atoms 0 and 1 at a distance of"):
        preprocess(make_config(bohr_in_r), out)


@settings(max_examples=100, deadline=None)
@given(
    positions=st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=20),
    limit=st.floats(0.01, 1.0),
    num_frames=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_overlaps_as_found_by_comparing_all_pairs(
    positions: list[list[float]], limit: float, num_frames: int, seed: int
) -> None:
    Ra = np.array(positions)
    frames = np.random.default_rng(seed).integers(0, num_frames, len(Ra))
    distances = np.sqrt(np.square(Ra[:, None] - Ra).sum(axis=-1))
    same_frame = frames[:, None] == frames
    np.fill_diagonal(same_frame, False)
    nearest = distances[same_frame].min(initial=np.inf)
    if abs(nearest - limit) > 1e-12:
        assert any_closer_than(limit, Ra, frames) == (nearest < limit)


def test_overlaps_in_all_places_and_directions() -> None:
    rng = np.random.default_rng(0)
    for place, direction in zip(rng.uniform(-3, 3, (500, 3)), rng.normal(size=(500, 3)), strict=True):
        step = 0.2 * direction / np.linalg.norm(direction)
        assert any_closer_than(0.2, np.array([place, place + 0.999 * step]), np.zeros(2, dtype=np.int64))
        assert not any_closer_than(0.2, np.array([place, place + 1.001 * step]), np.zeros(2, dtype=np.int64))


def test_overlap_with_others_in_between() -> None:
    Ra = np.array([[0.1] * 3, [0.9] * 3, [0.11] * 3])
    assert any_closer_than(1.0, Ra, np.zeros(3, dtype=np.int64))
    assert not any_closer_than(1.0, Ra[:2], np.zeros(2, dtype=np.int64))


def test_overlap_far_from_the_origin_and_among_many_atoms() -> None:
    # 8000 atoms on a grid: all pairs would be 32 million distances
    grid = np.stack(np.meshgrid(*[np.arange(20.0)] * 3), axis=-1).reshape(-1, 3) + 1e5
    frames = np.zeros(len(grid), dtype=np.int64)
    assert not any_closer_than(0.2, grid, frames)
    grid[7999] = grid[1] + [0.1, 0.1, 0.1]
    assert any_closer_than(0.2, grid, frames)


def block_of(*molecules: np.ndarray) -> Block:
    sizes = np.array([len(molecule) for molecule in molecules])
    return Block(10, {"N": sizes, "Za": np.ones(sizes.sum(), dtype=np.int64), "Ra": np.concatenate(molecules)})


def test_coincident_atoms_take_little_time_and_memory() -> None:
    start = time.perf_counter()
    tracemalloc.start()
    assert any_closer_than(0.2, np.zeros((100_000, 3)), np.zeros(100_000, dtype=np.int64))
    # all pairs would take 80 GB
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert time.perf_counter() - start < 30


def test_coincident_atoms_of_different_frames_are_apart() -> None:
    assert not any_closer_than(0.2, np.zeros((100_000, 3)), np.arange(100_000))


def test_many_small_frames_take_little_time() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)
    positions, frames = np.tile(grid, (1000, 1)), np.repeat(np.arange(1000), len(grid))
    start = time.perf_counter()
    assert not any_closer_than(0.2, positions, frames)
    assert time.perf_counter() - start < 5  # all pairs of the block would be 7e8 distances
    positions[-1] = positions[-2]
    assert any_closer_than(0.2, positions, frames)


@pytest.mark.parametrize(
    ("positions", "pair"),
    [
        ([[0, 0, 0], [0, 0, 1], [0, 0, 1.1]], "atoms 1 and 2 at a distance of 0.1,"),
        ([[5, 0, 0], [0, 0, 1], [5, 0, 0], [5, 0, 0]], "atoms 0 and 2 at a distance of 0,"),
        ([[0, 0, 0], [1e200, 0, 0], [1e200, 0, 0]], "atoms 1 and 2 at a distance of 0,"),
    ],
)
def test_message_names_the_first_closest_pair(positions: list[list[float]], pair: str) -> None:
    lone, fine, wrong = np.zeros((1, 3)), np.eye(3), np.array(positions, dtype=float)
    Checks(DataSource("a.npz", {"Ra": "R"}))(block_of(lone, fine))
    with pytest.raises(DataError, match=rf"^a\.npz: frame 12: 'R' \(Ra\) puts {pair} below 0\.2 Å"):
        Checks(DataSource("a.npz", {"Ra": "R"}))(block_of(lone, fine, wrong, wrong))
