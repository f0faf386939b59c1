import pytest
import torch

from pyg_nnp.runtime import threads
from pyg_nnp.training.environment import take_threads


def test_a_resumed_training_takes_the_number_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with threads.restored():
        torch.set_num_threads(2)
        take_threads({})
        take_threads({"threads": 7})
        assert torch.get_num_threads() == 2
        take_threads({"threads": 1})
        assert torch.get_num_threads() == 1
