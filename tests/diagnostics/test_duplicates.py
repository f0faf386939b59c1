import re
from pathlib import Path

import numpy as np
import pytest
from planted import Frame, report
from small_set import FRAMES, config

from pyg_nnp.diagnostics.duplicates import clusters


def lone(element: int) -> Frame:
    nothing = np.zeros((1, 3))
    return {"Ra": nothing, "Za": np.array([element]), "Q": 0.0, "E": -2.0, "Fa": nothing, "Qa": nothing[0, :1]} | {
        "M2": nothing[0]
    }


@pytest.mark.parametrize(
    ("frames", "duplicates"),
    [
        (FRAMES[:3], 0),
        ([*FRAMES, lone(2)], 0),
        ([FRAMES[0]] * 30, 29),
        ([lone(2) | {"Ra": np.full((1, 3), 0.1 * i)} for i in range(30)], 29),
    ],
    ids=["three frames", "with a lone atom", "one frame", "lone atoms"],
)
def test_odd_data_sets(
    frames: list[Frame], duplicates: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = config()
    document["Trainer"] |= {"batch_size": 1, "Splitter": {"parts": ["training", "validation"], "ratios": [0.5, 0.5]}}
    _, said = report(document, frames, tmp_path, capsys)
    found = re.findall(r"planted\.pkl: (\d+ cop\w+ of other frames|.*?'\w+' \()", said)
    assert found == (
        [f"{duplicates} {'copy' if duplicates == 1 else 'copies'} of other frames"] if duplicates else []
    ), said


def test_clusters_are_chains_of_near_points() -> None:
    points = np.array([[0.0, 0.0], [3.0, 0.0], [0.4, 0.0], [0.8, 0.0], [3.0, 0.0], [9.0, 9.0]])
    labels = clusters(points, 0.5)
    assert labels[0] == labels[2] == labels[3]
    assert labels[1] == labels[4]
    assert len(set(labels.tolist())) == 3
    # rounding apart, where nearest neighbors make pairs only
    noisy = np.repeat(np.eye(3), 50, axis=0) + 1e-12 * np.random.default_rng(0).normal(size=(150, 3))
    assert clusters(noisy, 1e-5).reshape(3, 50).std(axis=1).tolist() == [0, 0, 0]
    assert len(set(clusters(noisy, 1e-5).tolist())) == 3
    assert clusters(np.zeros((4, 2)), 0.1).tolist() == [0, 0, 0, 0]
