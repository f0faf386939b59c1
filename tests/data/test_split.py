import logging
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pyg_nnp.config import Splitter
from pyg_nnp.data import split_dataset
from pyg_nnp.data.split import count_frames
from pyg_nnp.errors import ConfigError
from pyg_nnp.runtime.files import stamp

PARTS = ["training", "validation", "test"]
STORE = "0123456789abcdef"


def make_splitter(**options: object) -> Splitter:
    return Splitter.model_validate({"ratios": [0.7, 0.1, 0.2]} | options)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[part], other[part]) for part in one)


@pytest.mark.parametrize(
    ("ratios", "num_frames", "counts"),
    [
        ([0.7, 0.1, 0.2], 1000, [700, 100, 200]),
        # thirds of 10: the first gets the frame that is left over
        ([1 / 3, 1 / 3, 1 / 3], 10, [4, 3, 3]),
        # 4.9, 0.7, 1.4 of 7: the largest remainders get the two that are left over
        ([0.7, 0.1, 0.2], 7, [5, 1, 1]),
        ([0.29, 0.71], 100, [29, 71]),
        # 3.5 and 6.5 are equally near: the first gets it, whatever 0.35 is in binary
        ([0.35, 0.65], 10, [4, 6]),
        ([0.5, 0.25], 8, [4, 2]),
        ([0.5, 3, None], 10, [5, 3, 2]),
        ([-1, 2, 3], 10, [5, 2, 3]),
        ([6, 2, 2], 10, [6, 2, 2]),
        ([1.0], 3, [3]),
        ([1], 3, [1]),
    ],
)
def test_counts(ratios: list[float | int | None], num_frames: int, counts: list[int]) -> None:
    parts = [f"part{i}" for i in range(len(ratios))]
    assert list(count_frames(parts, ratios, num_frames).values()) == counts


@pytest.mark.parametrize(
    ("ratios", "num_frames", "message"),
    [
        ([0.7, 0.1, 0.2], 4, r"part 'validation' \(0.1\) would be empty: there are 4 frames\."),
        ([5, 5, None], 10, r"part 'test' \(None\) would be empty"),
        ([5, 5, 0], 10, r"part 'test' \(0\) would be empty"),
        ([5, 5, 1], 10, r"need more than the 10 frames there are \(training: 5, validation: 5, test: 1\)"),
        ([0.8, 0.1, 2], 10, r"need more than the 10 frames"),
        ([0.8, 0.2, 0.1], 100, r"need more than the 100 frames"),
        ([0.8, 11, None], 10, r"need more than the 10 frames"),
    ],
)
def test_impossible_ratios(ratios: list[float | int | None], num_frames: int, message: str) -> None:
    with pytest.raises(ConfigError, match=r"^Trainer\.Splitter\.ratios: .*" + message):
        count_frames(PARTS, ratios, num_frames)


@st.composite
def possible_splits(draw: st.DrawFn) -> tuple[list[float | int | None], int]:
    num_frames = draw(st.integers(30, 200))
    cuts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    ratios: list[float | int | None] = [cut / sum(cuts) for cut in cuts]
    if draw(st.booleans()):
        ratios = [ratio * 0.9 for ratio in ratios] + [draw(st.sampled_from([None, 1]))]
    return ratios, num_frames


@settings(max_examples=60, deadline=None)
@given(split=possible_splits(), seed=st.integers(0, 2**32 - 1), global_seed=st.integers(0, 1000))
def test_parts_are_disjoint_and_drawn_from_the_seed_alone(
    split: tuple[list[float | int | None], int], seed: int, global_seed: int
) -> None:
    ratios, num_frames = split
    parts = [f"part{i}" for i in range(len(ratios))]
    splitter = Splitter.model_construct(
        method="random", parts=parts, ratios=ratios, seed=seed, save=False, preload=False
    )
    torch.manual_seed(global_seed)
    state = torch.get_rng_state()
    drawn = split_dataset(splitter, num_frames, STORE, Path("unused"))
    assert torch.equal(torch.get_rng_state(), state)
    frames = torch.cat(list(drawn.values())).tolist()
    assert len(set(frames)) == len(frames)
    assert set(frames) <= set(range(num_frames))
    if None in ratios or all(isinstance(ratio, float) for ratio in ratios):
        assert set(frames) == set(range(num_frames))
    torch.manual_seed(global_seed + 1)
    assert same(split_dataset(splitter, num_frames, STORE, Path("unused")), drawn)


def test_seed_decides(tmp_path: Path) -> None:
    first = split_dataset(make_splitter(seed=1), 50, STORE, tmp_path)
    assert not same(split_dataset(make_splitter(seed=2), 50, STORE, tmp_path), first)
    assert not torch.equal(first["training"], first["training"].sort().values), "drawn, not cut off in order"


def test_saved_split_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    drawn = split_dataset(make_splitter(), 10, STORE, tmp_path)
    (path,) = tmp_path.glob("split_*")
    assert "split saved to" in caplog.text
    caplog.clear()
    # a mark of ours, to see that the file is what is used
    swapped = drawn | {"validation": drawn["test"][:1], "test": torch.cat((drawn["validation"], drawn["test"][1:]))}
    description = metadata_of(path)["split"].partition(" sha256 ")[0]
    contents = [frames.numpy().tobytes() for frames in swapped.values()]
    save_file(swapped, path, metadata={"split": stamp(description, contents)})
    assert same(split_dataset(make_splitter(), 10, STORE, tmp_path), swapped)
    assert "split loaded from" in caplog.text
    assert same(split_dataset(make_splitter(preload=False), 10, STORE, tmp_path), drawn)


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def test_not_saved_unless_asked(tmp_path: Path) -> None:
    split_dataset(make_splitter(save=False), 10, STORE, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "num_frames", "store"),
    [
        ({"seed": 43}, 50, STORE),
        ({"ratios": [0.6, 0.2, 0.2]}, 50, STORE),
        ({"ratios": [35, 5, 10]}, 50, STORE),
        ({"parts": ["training", "test", "validation"]}, 50, STORE),
        ({}, 60, STORE),
        ({}, 50, "f" * 16),
    ],
)
def test_saved_split_of_anything_else_is_not_used(
    tmp_path: Path, changed: dict[str, object], num_frames: int, store: str
) -> None:
    split_dataset(make_splitter(), 50, STORE, tmp_path)
    again = split_dataset(make_splitter(**changed), num_frames, store, tmp_path)
    fresh = split_dataset(make_splitter(**changed, preload=False), num_frames, store, tmp_path)
    assert same(again, fresh)
    assert len(list(tmp_path.glob("split_*"))) == 2


def test_damaged_split_is_drawn_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drawn = split_dataset(make_splitter(), 10, STORE, tmp_path)
    (path,) = tmp_path.glob("split_*")
    whole, metadata = path.read_bytes(), metadata_of(path)
    path.write_bytes(whole[:-8])
    assert same(split_dataset(make_splitter(), 10, STORE, tmp_path), drawn)
    assert "is damaged" in caplog.text
    assert path.read_bytes() == whole

    saved = load_file(path)
    twice = saved | {"test": saved["validation"].repeat(2)}
    outside = saved | {"validation": torch.tensor([10])}
    too_few = saved | {"training": saved["training"][:-1]}
    missing = {part: frames for part, frames in saved.items() if part != "test"}
    another = saved | {"validation": saved["test"][:1], "test": torch.cat((saved["validation"], saved["test"][1:]))}
    for wrong in (twice, outside, too_few, missing, another):
        caplog.clear()
        save_file(wrong, path, metadata=metadata)
        assert same(split_dataset(make_splitter(), 10, STORE, tmp_path), drawn)
        assert "drawn again" in caplog.text
    save_file(drawn, path, metadata={"split": "of another kind"})
    caplog.clear()
    assert same(split_dataset(make_splitter(), 10, STORE, tmp_path), drawn)
    assert "does not hold the split it should" in caplog.text


def test_failing_to_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split_dataset(make_splitter(), 10, STORE, tmp_path)
    (path,) = tmp_path.glob("split_*")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        split_dataset(make_splitter(preload=False), 10, STORE, tmp_path)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / ".lock", path])


@pytest.mark.parametrize(
    ("ratios", "num_frames", "level", "message"),
    [
        ([80, 10, 10], 1000, logging.WARNING, r"900 of 1000 frames are in no part: .*write \[0\.8, 0\.1, 0\.1\]; null"),
        ([8, 1, 1], 50, logging.WARNING, r"40 of 50 frames are in no part: .*training: 8, .*\[0\.8, 0\.1, 0\.1\]"),
        ([70, 20, 10], 101, logging.WARNING, r"1 of 101 frames are in no part: .*\[0\.7, 0\.2, 0\.1\]"),
        ([2, 1, 1], 5, logging.WARNING, r"1 of 5 frames are in no part: .*\[0\.5, 0\.25, 0\.25\]"),
        ([950, 50, 1000], 5000, logging.INFO, r"3000 of 5000 frames are in no part\.$"),
        ([0.5, 0.2, 0.1], 100, logging.INFO, r"20 of 100 frames are in no part\.$"),
        ([0.5, 20, 10], 100, logging.INFO, r"20 of 100 frames are in no part\.$"),
    ],
)
def test_frames_in_no_part_are_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ratios: list[float | int | None],
    num_frames: int,
    level: int,
    message: str,
) -> None:
    caplog.set_level(logging.INFO)
    parts = split_dataset(make_splitter(ratios=ratios, save=False), num_frames, STORE, tmp_path)
    assert sum(map(len, parts.values())) < num_frames
    (record,) = caplog.records
    assert record.levelno == level
    assert re.search(r"^Trainer\.Splitter\.ratios: " + message, record.getMessage())


@pytest.mark.parametrize(
    ("ratios", "num_frames"), [([80, 10, 10], 100), ([0.8, 0.1, 0.1], 1000), ([8, 1, None], 1000), ([80, 10, -1], 1000)]
)
def test_nothing_is_told_where_every_frame_has_a_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ratios: list[float | int | None], num_frames: int
) -> None:
    caplog.set_level(logging.INFO)
    split_dataset(make_splitter(ratios=ratios, save=False), num_frames, STORE, tmp_path)
    assert not caplog.records


def test_frames_that_are_not_divided(tmp_path: Path) -> None:
    """Parts are drawn from the frames that are given, in the order that their numbers alone would have."""
    frames = torch.tensor([2, 3, 5, 7, 11, 13, 17, 19, 23, 29])
    drawn = split_dataset(make_splitter(), frames, STORE, tmp_path)
    assert sorted(torch.cat(list(drawn.values())).tolist()) == frames.tolist()
    plain = split_dataset(make_splitter(save=False, preload=False), 10, STORE, tmp_path)
    assert all(torch.equal(drawn[part], frames[plain[part]]) for part in PARTS)
    assert same(split_dataset(make_splitter(), frames, STORE, tmp_path), drawn)


def test_in_the_order_of_the_data(tmp_path: Path) -> None:
    splitter = make_splitter(method="order", ratios=[6, None, 0.2])
    parts = split_dataset(splitter, torch.arange(10) + 5, STORE, tmp_path)
    assert {part: frames.tolist() for part, frames in parts.items()} == {
        "training": [5, 6, 7, 8, 9, 10],
        "validation": [11, 12],
        "test": [13, 14],
    }
    assert same(split_dataset(splitter, torch.arange(10) + 5, STORE, tmp_path), parts)


def test_frames_of_a_formula_stay_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    formulas = torch.arange(200) % 17
    splitter = make_splitter(method="formula")
    with caplog.at_level("INFO"):
        parts = split_dataset(splitter, 200, STORE, tmp_path, lambda method: formulas)
    of_parts = [set(formulas[frames].tolist()) for frames in parts.values()]
    assert sum(map(len, of_parts)) == 17
    assert set().union(*of_parts) == set(range(17))
    assert sum(map(len, parts.values())) == 200
    # as many as asked for, but for the frames of a formula
    for part, count in zip(PARTS, (140, 20, 40), strict=True):
        assert abs(len(parts[part]) - count) <= 12
    assert "17 groups of frames. training: " in caplog.text
    assert same(split_dataset(splitter, 200, STORE, tmp_path, lambda method: formulas), parts)
    other = split_dataset(make_splitter(method="formula", seed=7), 200, STORE, tmp_path, lambda method: formulas)
    assert not same(other, parts)
    # those of some frames only, of which others stay out
    some = make_splitter(method="formula", ratios=[20, 20, 20])
    drawn = split_dataset(some, torch.arange(100) + 100, STORE, tmp_path, lambda method: formulas)
    assert all(20 <= len(frames) < 32 and int(frames.min()) >= 100 for frames in drawn.values())
    with pytest.raises(ConfigError, match=r"method: part 'test' would be empty: there are 2 groups of frames for 3"):
        split_dataset(splitter, 10, STORE, tmp_path, lambda method: torch.arange(10) % 2)


def index_splitter(path: Path, content: str, **options: object) -> Splitter:
    path.write_text(content)
    return Splitter.model_validate({"method": "index", "index_file": str(path), **options})


def test_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    splitter = index_splitter(path, '{"training": [7, 3], "test": [1], "validation": [2], "other": [3]}')
    parts = split_dataset(splitter, 8, STORE, tmp_path)
    assert {part: frames.tolist() for part, frames in parts.items()} == {
        "training": [7, 3],
        "validation": [2],
        "test": [1],
    }
    # a file with other frames is another split
    changed = index_splitter(path, '{"training": [7, 4], "test": [1], "validation": [2]}')
    assert split_dataset(changed, 8, STORE, tmp_path)["training"].tolist() == [7, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("training", "is no JSON file"),
        ("[1, 2]", "expects numbers of frames for each part"),
        ('{"training": [0.5]}', "expects numbers of frames for each part"),
        ('{"training": [true]}', "expects numbers of frames for each part"),
        ('{"training": [0], "validaton": [1]}', "no frames for the part 'validation'. Did you mean 'validaton'"),
        ('{"training": [], "validation": [1]}', "no frames for the part 'training'"),
        ('{"training": [0], "validation": [8]}', "part 'validation' cannot have frame 8: isolated"),
        ('{"training": [0], "validation": [-1, 1e9]}'.replace("1e9", str(10**30)), "frames -1, 1000000000000000"),
        ('{"training": [0], "validation": [5]}', "part 'validation' cannot have frame 5: isolated"),
        ('{"training": [0, 1], "validation": [1]}', "given more than once: frame 1. A frame is in one part."),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, content: str, message: str) -> None:
    splitter = index_splitter(tmp_path / "parts.json", content, parts=["training", "validation"])
    with pytest.raises(ConfigError, match=f"index_file: {tmp_path}/parts.json.*{re.escape(message)}"):
        split_dataset(splitter, torch.tensor([0, 1, 2, 3, 4, 6, 7]), STORE, tmp_path)
    (tmp_path / "parts.json").unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        split_dataset(splitter, 8, STORE, tmp_path)


def held(elements: torch.Tensor, frames: torch.Tensor) -> set[int]:
    return set(elements[frames].any(0).nonzero().flatten().tolist())


def split_with(elements: torch.Tensor, folder: Path, **options: object) -> dict[str, torch.Tensor]:
    return split_dataset(make_splitter(parts=PARTS, **options), len(elements), STORE, folder, elements=lambda: elements)


@pytest.mark.parametrize("parts", [PARTS, ["test", "training", "validation"]])
@pytest.mark.parametrize("seed", range(20))
def test_the_training_part_has_all_elements(
    parts: list[str], seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    elements = torch.zeros(50, 5, dtype=torch.bool)
    elements[:, 0] = True
    for k, frames in {1: [3], 2: [7, 30], 3: [3, 40], 4: [11]}.items():
        elements[frames, k] = True
    drawn = split_dataset(make_splitter(parts=parts, seed=seed), 50, STORE, tmp_path)
    (tmp_path / "other").mkdir()
    splitter = make_splitter(parts=parts, seed=seed)
    chosen = split_dataset(splitter, 50, STORE, tmp_path / "other", elements=lambda: elements)
    assert held(elements, chosen["training"]) == set(range(5))
    # nothing else changes: as many frames, each once, and those that stay are where they were
    assert {part: len(frames) for part, frames in chosen.items()} == {part: len(drawn[part]) for part in parts}
    assert sorted(torch.cat(list(chosen.values())).tolist()) == list(range(50))
    lacking = len({0, 1, 2, 3, 4} - held(elements, drawn["training"]))
    moved = set(chosen["training"].tolist()) - set(drawn["training"].tolist())
    assert bool(moved) == bool(lacking)
    assert len(moved) <= lacking
    for part in parts:
        assert int((chosen[part] != drawn[part]).sum()) <= lacking
    said = [record.getMessage() for record in caplog.records if "would lack elements" in record.getMessage()]
    listed = ("frame " if len(moved) == 1 else "frames ") + ", ".join(map(str, sorted(moved)))
    text = f"Trainer.Splitter: moved into the training part, which would lack elements otherwise: {listed}."
    assert said == [text] * bool(moved)


def test_elements_that_no_frame_can_bring(tmp_path: Path) -> None:
    """Each of two frames of the training part has an element alone, so that the third element stays outside."""
    splitter = make_splitter(parts=["training", "test"], ratios=[2, 1], save=False)
    chosen = split_dataset(splitter, 3, STORE, tmp_path, elements=lambda: torch.eye(3, dtype=torch.bool))
    assert same(chosen, split_dataset(splitter, 3, STORE, tmp_path))


def test_frames_in_the_order_of_the_data_stay_there(tmp_path: Path) -> None:
    elements = torch.ones(10, 2, dtype=torch.bool)
    elements[:-1, 1] = False
    assert 9 in split_with(elements, tmp_path)["training"].tolist()
    assert split_with(elements, tmp_path, method="order")["training"].tolist() == list(range(7))
