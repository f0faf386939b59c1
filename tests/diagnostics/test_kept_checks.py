"""What checks have found is kept for large data sets."""

import logging
from pathlib import Path
from typing import Any

import pytest
from toy import toy_config, write_toy

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, split_of
from pyg_nnp.diagnostics import kept_checks
from pyg_nnp.diagnostics.field_checks import examine
from pyg_nnp.diagnostics.kept_checks import examine_once


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Write a data set with wrong signs, which is large enough; count how often it is looked at."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, 40)
    monkeypatch.setattr(kept_checks, "LARGE", 40)
    times: list[int] = []

    def counted(*arguments: Any) -> Any:
        times.append(1)
        return examine(*arguments)

    monkeypatch.setattr(kept_checks, "examine", counted)
    return times


def found(config: Config) -> tuple[str, list[str]]:
    dataset = MoleculeDataset.from_config(config, Path("out"))
    table, findings = examine_once(config, dataset, split_of(config, dataset))
    return table, [str(finding) for finding in findings]


def test_second_time_is_as_the_first(examined: list[int], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = config_from_dict(toy_config(Datahub__transforms={"negative_gradient": False}))
    first = found(config)
    assert first[1]
    assert found(config) == first
    assert len(examined) == 1
    assert "what checks have found is read from out" in caplog.text
    # the length of a training changes nothing, another split does
    config.Trainer.max_epochs = 7
    found(config)
    assert len(examined) == 1
    config.Trainer.Splitter.seed = 7
    found(config)
    assert len(examined) == 2
    other = config_from_dict(toy_config())
    assert found(other) != first
    assert len(examined) == 3


def test_another_version_looks_again(examined: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_from_dict(toy_config(Datahub__transforms={"negative_gradient": False}))
    first = found(config)
    monkeypatch.setattr(kept_checks, "version", lambda package: f"{package} of tomorrow")
    assert found(config) == first
    assert len(examined) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"made_from": 3}'])
def test_what_is_damaged_is_made_again(examined: list[int], content: bytes) -> None:
    config = config_from_dict(toy_config(Datahub__transforms={"negative_gradient": False}))
    first = found(config)
    (path,) = Path("out").glob("*/checks_*.json")
    path.write_bytes(content)
    assert found(config) == first
    assert len(examined) == 2


def test_small_sets_are_looked_at_each_time(examined: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_checks, "LARGE", 41)
    config = config_from_dict(toy_config())
    found(config)
    found(config)
    assert len(examined) == 2
    assert not list(Path("out").glob("*/checks_*.json"))
