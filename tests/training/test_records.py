"""What a training has left, written and read back."""

from pathlib import Path

import pytest

from pyg_nnp.errors import DataError
from pyg_nnp.training.records import read_history, read_records, write_history

RUN = (
    '{"started": "2026-01-31T12:00:00", "device": "cpu", "threads": 1, "dtype": "float32", "parameters": 9, '
    '"versions": {"torch": "2"}, "warnings": ["odd"], "later": 1}'
)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "history.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_seconds_add_up(tmp_path: Path) -> None:
    found = read_history(written(tmp_path, "epoch,training_loss,seconds", "1,3.0,9.0", "2,2.0,2.0", "3,1.0,2.5"))
    assert (found.total_seconds, found.median_seconds) == (13.5, 2.5)
    assert found.epochs.tolist() == [1, 2, 3]


def test_seconds_that_are_not_known(tmp_path: Path) -> None:
    """Of a training that an older version began, and of an epoch that it was stopped in."""
    found = read_history(written(tmp_path, "epoch,training_loss,seconds", "1,3.0,", "2,2.0,nan", "3,1.0,2.5"))
    assert (found.total_seconds, found.median_seconds) == (None, 2.5)
    assert found.columns["training_loss"].tolist() == [3.0, 2.0, 1.0]
    found = read_history(written(tmp_path, "epoch,training_loss", "1,3.0"))
    assert (found.total_seconds, found.median_seconds) == (None, None)


def test_record_of_the_run(tmp_path: Path) -> None:
    written(tmp_path, "epoch,training_loss", "1,3.0")
    assert read_records(tmp_path).run is None
    assert read_records(tmp_path).metrics == {}
    (tmp_path / "run.json").write_text(RUN)
    run = read_records(tmp_path).run
    assert run is not None
    assert (run.device, run.threads, run.versions, run.warnings) == ("cpu", 1, {"torch": "2"}, ["odd"])
    for damaged in (RUN[:-5], "[1]", "{}"):
        (tmp_path / "run.json").write_text(damaged)
        with pytest.raises(DataError, match=r"run\.json: this is no record of a run, or a damaged one"):
            read_records(tmp_path)


OLD = "epoch,training_loss\n1,3.0\n2,2.0\n3,9.0\n"


def test_epochs_that_come_again_take_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 2.5)):
        write_history(path, {"epoch": epoch, "training_loss": loss, "seconds": 0.5})
    assert path.read_text() == "epoch,training_loss,seconds\n1,3.0,0.5\n2,2.5,0.5\n"


def test_lines_of_older_versions_have_an_empty_last_column(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(OLD)
    write_history(path, {"epoch": 3, "training_loss": 1.0, "seconds": 0.5})
    write_history(path, {"epoch": 4, "training_loss": 0.5, "seconds": 0.25})
    assert path.read_text() == "epoch,training_loss,seconds\n1,3.0,\n2,2.0,\n3,1.0,0.5\n4,0.5,0.25\n"
