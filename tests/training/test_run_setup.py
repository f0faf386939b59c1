"""The folder of a model belongs to one run."""

from pathlib import Path

import pytest

from pyg_nnp.errors import TrainingError
from pyg_nnp.training.run_setup import claimed


def test_two_runs_in_one_folder_do_not_mix(folder: Path) -> None:
    model = folder / "FF01-SchNet"
    with claimed(model):
        with pytest.raises(TrainingError, match="in use by another run"), claimed(model):
            pass
        assert model.exists()
    assert not model.exists()
