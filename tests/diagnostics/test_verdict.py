import numpy as np

from pyg_nnp.diagnostics.verdict import in_words


def test_frames_in_words() -> None:
    assert in_words([3]) == "frame 3"
    assert in_words(np.arange(7)) == "frames 0, 1, 2, 3, 4 and 2 more"
