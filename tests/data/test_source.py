import numpy as np

from pyg_nnp.data.source import DataSource, FileStart, frames_text


def test_text_for_frames() -> None:
    assert frames_text([3]) == "frame 3"
    assert frames_text(np.arange(7)) == "frames 0, 1, 2, 3, 4 and 2 more"


def test_message_names_file_frames_and_field() -> None:
    source = DataSource("a.npz", {"E": "U0"})
    assert source.message("E", "is nan.", [3]) == "a.npz: frame 3: 'U0' (E) is nan."
    assert source.message("E", "is nan.") == "a.npz: 'U0' (E) is nan."
    assert source.message("Q", "is 1.", [0, 2]) == "a.npz: frames 0, 2: Q, which is not in the file, is 1."


def test_frames_of_several_files_are_named_by_these() -> None:
    one = DataSource("a.npz", {}, starts=(FileStart("", 0),))
    assert [one.frame(number) for number in (0, 7)] == ["0", "7"]
    two = DataSource("*.npz", {}, starts=(FileStart("a.npz", 0), FileStart("b.npz", 5)))
    assert [two.frame(number) for number in (0, 4, 5, 7)] == ["0 of a.npz", "4 of a.npz", "0 of b.npz", "2 of b.npz"]
    assert two.frames([1, 6, 3]) == "frames 1, 3 of a.npz, frame 1 of b.npz"
