"""Labels that frames have under another name than the one that is read are told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import TARGETS
from frame_files import dump
from toy import toy_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.other_labels import check_other_labels


@pytest.mark.parametrize(
    ("without", "other", "told"),
    [
        (range(4), range(4), 4),
        # one frame has neither, one has both
        (range(4), range(3), 3),
        (range(4), range(5), 4),
        # most frames have the other name alone
        (range(7), range(6), 6),
        # where the one that is read is missing, the other is, too
        (range(4), range(4, 8), 0),
        ((), range(8), 0),
        # a second quantity, which all frames have
        (range(4), range(8), 0),
    ],
)
@pytest.mark.parametrize(("name", "source"), [("E", "dft_energy"), ("Fa", "ref_forces")])
def test_another_name(
    name: str,
    source: str,
    without: Sequence[int],
    other: Sequence[int],
    told: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    frames: list[dict[str, Any]] = write_toy(tmp_path, 8)
    read = TARGETS[name]
    for number in other:
        frames[number][source] = frames[number][read]
    for number in without:
        frames[number][read] = None
    dump(tmp_path / "dataset.pkl", frames)
    options = {"Datahub__allow_missing": [name], "Datahub__transforms": {"negative_gradient": True}}
    config = config_from_dict(toy_config(Datahub__targets=TARGETS, **options), "here")
    found = [str(one) for one in check_other_labels(config, MoleculeDataset.from_config(config, "out"))]
    what = f"'{source}' looks like {name}, too, in {told} frames that have no '{read}'"
    assert found == ([f"dataset.pkl: {what}. Give it the same name in all frames."] if told else [])
