"""Weights of frames and of their groups, from files to batches."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
MakeConfig = Callable[..., Config]
FEATURES = {"N": "n", "Ra": "xyz", "Za": "z", "Q": "q"}


@pytest.fixture
def grouped(waters: list[Frame], write_pickle: Callable[..., Path]) -> None:
    """Write five frames, some with weight and group."""
    for frame, weight in zip(waters, (0.5, None, 2.0, math.nan), strict=False):
        frame["weight"] = weight
    for frame, group in zip(waters, ("bulk", "bulk", "other", None), strict=False):
        frame["group"] = group
    write_pickle(waters)


def weights(config: Config, out: Path) -> list[float]:
    return MoleculeDataset.from_config(config, out).weight.tolist()


@pytest.mark.usefixtures("grouped")
def test_weights_are_multiplied(make_config: MakeConfig, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    own = make_config(features=FEATURES | {"weight": "config_weight"})
    assert weights(own, out) == [0.5, 1, 2, 1, 1]
    assert "'config_weight' (weight) is missing in 3 frames: their weight is 1." in caplog.text
    of_groups = {"features": FEATURES | {"group": "config_type"}, "group_weights": {"bulk": 3.0}}
    assert weights(make_config(**of_groups), out) == [3, 3, 1, 1, 1]
    said = "none in 2 frames (weight 1), 'bulk' in 2 frames (weight 3), 'other' in 1 frames (weight 1)"
    assert said in caplog.text
    of_groups["features"] |= {"weight": "config_weight"}
    assert weights(make_config(**of_groups), out) == [1.5, 3, 2, 1, 1]
    of_groups["group_weights"] = {"bulk": 4.0}
    assert weights(make_config(**of_groups), out) == [2, 4, 2, 1, 1]  # another store


@pytest.mark.usefixtures("grouped")
def test_what_no_frame_has_is_refused(make_config: MakeConfig, out: Path) -> None:
    with pytest.raises(DataError, match=r"'wieght' \(weight\) is missing in all frames\. Correct the name"):
        weights(make_config(features=FEATURES | {"weight": "wieght"}), out)
    config = make_config(features=FEATURES | {"group": "config_type"}, group_weights={"bluk": 2.0})
    text = r"'config_type' \(group\) is 'bluk' in no frame, .* Did you mean 'bulk'\? Groups: 'bulk', 'other'"
    with pytest.raises(DataError, match=text):
        weights(config, out)


@pytest.mark.parametrize(("weight", "said"), [(-1.0, "a weight is at least 0"), (math.inf, "a number is needed")])
def test_what_cannot_be_a_weight_is_refused(
    waters: list[Frame],
    make_config: MakeConfig,
    write_pickle: Callable[..., Path],
    out: Path,
    weight: float,
    said: str,
) -> None:
    write_pickle([frame | {"weight": weight if number == 3 else 1.0} for number, frame in enumerate(waters)])
    with pytest.raises(DataError, match=rf"frame 3: 'config_weight' \(weight\) is {weight}; {said}"):
        weights(make_config(features=FEATURES | {"weight": "config_weight"}), out)
