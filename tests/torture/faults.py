"""Make a store and a split again and again, each time with a fault at another call that changes files.

python faults.py FAULTS.SO SCENARIO FOLDER, with FAULTS.SO preloaded; prints what came of it as JSON.
"""

import ctypes
import hashlib
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from toy import toy_config

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, preprocess, split_dataset

KILL, FULL = 2, 3
DONE, NO_SPACE, WRONG = 0, 28, 1


def make(config: Config, out: Path) -> str:
    """Make store and split, or find them; return a digest of all that training would read."""
    folder = preprocess(config, out)
    dataset = MoleculeDataset(folder, in_memory=False)
    parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, folder)
    sha = hashlib.sha256()
    for block in dataset.blocks(dataset.fields):
        for rows in block.values():
            sha.update(rows.numpy().tobytes())
    for frames in parts.values():
        sha.update(frames.numpy().tobytes())
    return sha.hexdigest()


def in_child(action: Callable[[], None]) -> int:
    """Return the exit status of a forked process, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(DONE)
        except OSError as error:
            os._exit(NO_SPACE if error.errno == NO_SPACE else WRONG)
        except BaseException:
            logging.exception("unexpected")
            os._exit(WRONG)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def prepare(scenario: str, config: Config, out: Path) -> None:
    """Make what the faulty process finds."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if scenario != "new":
        assert in_child(lambda: print(make(config, out), file=sys.stderr)) == DONE
    if scenario == "damaged":
        for path in (*out.rglob("dataset.h5"), *out.rglob("split_*")):
            path.write_bytes(path.read_bytes()[:-100])


def main() -> None:
    library, scenario, folder = ctypes.CDLL(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    os.chdir(folder)
    config, out = config_from_dict(toy_config()), Path("out")
    faulty = config.model_copy(deep=True)
    faulty.Datahub.preload = faulty.Trainer.Splitter.preload = scenario != "again"
    reference = make(config, Path("reference"))
    outcome = {"calls": 0, "killed": 0, "full": 0, "loadable": 0, "rebuilt": 0, "wrong": []}

    def check() -> None:
        assert make(config, out) == reference
        names = sorted(path.name.partition("_")[0] for path in out.rglob("*"))
        assert names == [".lock", "data", "dataset.h5", "processed", "split"], names

    def attempt(mode: int, number: int) -> int:
        """Let call ``number`` fail, see what is left, and go on from it; return how the faulty process ended."""

        def run() -> None:
            library.arm(mode, number)
            make(faulty, out)

        prepare(scenario, config, out)
        before = contents(out)
        status = in_child(run)
        after = contents(out)
        stores = [path.parent for path in out.rglob("dataset.h5")]
        loadable = bool(stores) and in_child(lambda: MoleculeDataset(stores[0]) and None) == DONE
        again = in_child(check)
        # a store that was whole stays so; at a full disk no byte of it changes
        lost = scenario == "again" and not loadable
        changed = scenario == "again" and mode == FULL and not before.items() <= after.items()
        if status not in (DONE, {KILL: -signal.SIGKILL, FULL: NO_SPACE}[mode]) or lost or changed or again != DONE:
            outcome["wrong"].append({"mode": mode, "call": number, "status": status, "again": again, "lost": lost})
        outcome["loadable"] += loadable
        outcome["rebuilt"] += not loadable and again == DONE
        return status

    while attempt(KILL, outcome["calls"] + 1) != DONE:
        outcome["calls"] += 1
        outcome["killed"] += 1
        # after the last call that needs space it ends well
        outcome["full"] += attempt(FULL, outcome["calls"]) == NO_SPACE
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
