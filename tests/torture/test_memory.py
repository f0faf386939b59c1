"""A training of many epochs takes as much memory at its end as at its beginning."""

import gc
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from toy import toy_config, write_toy

from pyg_nnp import run
from pyg_nnp.config import config_from_dict
from pyg_nnp.resume import Best

# as many as 10 hours have of 7 s each
EPOCHS = 5000
WARM_UP = 1000
EVERY = 100
PAGE = resource.getpagesize()


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def test_memory_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_toy(tmp_path, frames=8)
    monkeypatch.chdir(tmp_path)
    measured: list[tuple[int, int]] = []
    original = Best.improves

    def improves(best: Best, score: float, epoch: int) -> bool:
        if epoch % EVERY == 0 and epoch >= WARM_UP:
            measured.append((epoch, resident()))
        return original(best, score, epoch)

    # what waits for the disk takes most of the time of such epochs, and no memory
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(Best, "improves", improves)
    changes = {"Trainer__patience": None, "Trainer__batch_size": 4}
    run.train(config_from_dict(toy_config(**changes, Trainer__max_epochs=EPOCHS)), Path("out"))
    epochs, sizes = np.array(measured).T
    slope = float(np.polyfit(epochs / 1000, sizes / 2**20, 1)[0])
    print(
        f"\n{EPOCHS} epochs: {sizes[0] / 2**20:.1f} MiB after {WARM_UP}, {sizes[-1] / 2**20:.1f} MiB at the end, "
        f"growth {slope:.3f} MiB per 1000 epochs"
    )
    assert slope < 1
