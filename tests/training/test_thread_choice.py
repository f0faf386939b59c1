import json
from pathlib import Path

import pytest
import torch
from toy_training import contents, train_toy

from pyg_nnp.runtime import threads


@pytest.fixture(autouse=True)
def _as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2])
def test_the_faster_number_is_taken_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    torch.set_num_threads(2)
    tried = []

    def faster(step):
        before = torch.get_rng_state()
        step()
        torch.rand(1)
        tried.append(before)
        return number, {number: 0.125, 3 - number: 0.25}

    monkeypatch.setattr(threads, "faster_number", faster)
    chosen = train_toy("chosen")
    assert len(tried) == 1
    said = "0.125 s with 1, 0.25 s with 2" if number == 1 else "0.25 s with 1, 0.125 s with 2"
    assert f"{number} of 2 threads: a step takes {said}." in capsys.readouterr().err
    assert json.loads((chosen / "run.json").read_text())["threads"] == number
    assert torch.get_num_threads() == 2
    # the trial leaves nothing behind: with this number given it is the same training
    monkeypatch.setenv("OMP_NUM_THREADS", str(number))
    torch.set_num_threads(number)
    given = train_toy("given")
    assert len(tried) == 1
    assert contents(chosen)["best.safetensors"] == contents(given)["best.safetensors"]
    assert contents(chosen)["last.safetensors"] == contents(given)["last.safetensors"]
