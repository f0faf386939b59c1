"""A training by two processes that is killed again and again."""

import json
import random
import signal
import time
from pathlib import Path

from safetensors.torch import load_file
from several_processes import END, TRAIN, Started, run_together
from toy import toy_config, write_config, write_toy

from pyg_nnp.potential.checkpoint import BEST, LAST

KILLS = 20
MODEL = "FF01-SchNet"
CHANGES = {"Trainer__max_epochs": 100, "Trainer__patience": None, "Trainer__warmup_ratio": 0.1}


def test_stopped_at_random_moments(tmp_path: Path) -> None:
    write_toy(tmp_path, 24, ("H2O", "CH3OH"))
    write_config(tmp_path, json.dumps(toy_config(**CHANGES)))
    began = time.monotonic()
    run_together(tmp_path, 2, *TRAIN, "-o", "whole")
    duration = time.monotonic() - began
    dice, kills, runs, slowest = (
        random.Random(0),
        dict.fromkeys(("SIGKILL of one", "SIGTERM of one", "SIGTERM"), 0),
        0,
        0.0,
    )
    while sum(kills.values()) < KILLS:
        runs += 1
        while True:
            kind = dice.choice(list(kills))
            started = Started(tmp_path, 2, [*TRAIN, "-o", f"out{runs}", "--resume"])
            last = time.monotonic() + dice.uniform(0.1, 0.6) * duration
            while time.monotonic() < last and any(process.poll() is None for process in started.processes):
                time.sleep(0.02)
            ended = all(process.poll() is not None for process in started.processes)
            which = [0, 1] if kind == "SIGTERM" else [dice.randrange(2)]
            started.kill(signal.SIGKILL if "KILL" in kind else signal.SIGTERM, *which)
            sent = time.monotonic()
            statuses, _, messages = started.results(60.0)
            if ended:
                assert statuses == [0, 0], messages
                break
            if 0 in statuses:  # it had just ended
                continue
            took = time.monotonic() - sent
            kills[kind], slowest = kills[kind] + 1, max(slowest, took)
            assert took < END, (kind, messages)
            assert "Traceback" not in "".join(messages)
        ours, theirs = tmp_path / f"out{runs}" / MODEL, tmp_path / "whole" / MODEL
        assert (ours / BEST).read_bytes() == (theirs / BEST).read_bytes()
        a, b = load_file(ours / LAST), load_file(theirs / LAST)
        assert all(a[name].equal(b[name]) for name in b)
    print(f"\n{kills} in {runs} trainings of two processes, all with the bits of one that was not stopped;")
    print(f"from signal to the end of all {slowest:.1f} s at most")
