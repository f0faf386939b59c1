"""Training that reads each batch from the store."""

from pathlib import Path

import pytest
import yaml
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_from_the_store_is_training_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], num_workers: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, names=("H2O", "CH4"))
    said = {}
    for out, in_memory in (("memory", True), ("store", False)):
        changes = {"Datahub__in_memory": in_memory, "Trainer__num_workers": num_workers}
        write_config(tmp_path, yaml.safe_dump(toy_config(**changes)))
        assert cli.main(["train", "train.yaml", "-o", out]) == 0
        said[out] = capsys.readouterr().err
    histories = [(tmp_path / out / "FF01-SchNet/history.csv").read_text() for out in said]
    assert histories[0] == histories[1]
    assert "Batches are made in the training process, from data in memory" in said["memory"]
    makers = "2 loader processes" if num_workers else "the training process"
    assert f"Batches are made by {makers}, from data in store/processed_dataset_" in said["store"]


def test_store_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    write_config(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "out/processed_dataset_0/.lock")

    monkeypatch.setattr("pyg_nnp.runtime.files.FileLock.acquire", refuse)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 2
    assert "OSError: out/processed_dataset_0/.lock: Permission denied. Look at permissions" in capsys.readouterr().err
