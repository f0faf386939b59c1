"""``history.csv``, epoch by epoch."""

from pathlib import Path

from pyg_nnp.training.callbacks.history import write_history

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
