"""A training of many epochs takes as much memory at its end as at its beginning."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from toy import toy_config, write_config, write_toy

# as many as 10 hours have of 7 s each
EPOCHS = 5000
WARM_UP = 1000

# in a process of its own: pytest keeps every line that is logged
TRAINING = f"""
import gc, os, resource
from pathlib import Path
from pyg_nnp.commands import cli
from pyg_nnp.training.stopping import EarlyStopping

original, page = EarlyStopping.update, resource.getpagesize()

def update(best, score, epoch):
    if epoch % 100 == 0 and epoch >= {WARM_UP}:
        gc.collect()
        print(epoch, int(Path("/proc/self/statm").read_text().split()[1]) * page)
    return original(best, score, epoch)

EarlyStopping.update = update
# what waits for the disk takes most of the time of such epochs, and no memory
os.fsync = lambda descriptor: None
cli.main(["train", "train.yaml", "-o", "out"])
"""


def test_memory_does_not_grow(tmp_path: Path) -> None:
    write_toy(tmp_path, frames=8)
    write_config(tmp_path, toy_config(Trainer__patience=None, Trainer__batch_size=4, Trainer__max_epochs=EPOCHS))
    command = [sys.executable, "-c", TRAINING]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    epochs, sizes = np.array([line.split() for line in found.splitlines()], dtype=int).T
    slope = float(np.polyfit(epochs / 1000, sizes / 2**20, 1)[0])
    print(
        f"\n{EPOCHS} epochs: {sizes[0] / 2**20:.1f} MiB after {epochs[0]}, {sizes[-1] / 2**20:.1f} MiB at the end, "
        f"growth {slope:.3f} MiB per 1000 epochs"
    )
    assert epochs[-1] == EPOCHS
    assert slope < 1
