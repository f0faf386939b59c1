"""Loader processes that stay from epoch to epoch."""

import copy
import gc
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import programs
import psutil
import pytest
import torch
from programs import Program
from torch import Tensor

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
MakeStore = Callable[..., Path]
EVERY = torch.arange(40)


def processes() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid}


@pytest.fixture
def dataset(frames: list[Frame], make_store: MakeStore) -> Iterator[MoleculeDataset]:
    gc.collect()  # what the errors of other tests refer to
    assert not processes()
    dataset = MoleculeDataset(make_store(frames * 10), in_memory=False, num_workers=2)
    yield dataset
    dataset.close()


def energies(dataset: MoleculeDataset, indices: Tensor = EVERY, size: int = 7) -> list[float]:
    return [float(energy) for batch in dataset.batches(indices, size) for energy in batch.E]


def test_the_second_epoch_has_the_same_processes(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()
    state = torch.get_rng_state()
    assert energies(dataset) == expected
    first = processes()
    assert len(first) == 2
    for indices, size in ((EVERY.flip(0), 3), (torch.arange(5), 100), (EVERY, 8)):
        assert energies(dataset, indices, size) == [expected[i] for i in indices]
        assert processes() == first
    assert torch.equal(torch.get_rng_state(), state)


def test_an_iterator_that_is_left_does_not_disturb_the_next(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()

    def fail_in_the_middle() -> None:
        for number, _ in enumerate(dataset.batches(EVERY.flip(0), 2)):
            if number == 3:
                raise ValueError("in the middle")

    energies(dataset)
    first = processes()
    for _ in range(3):
        with pytest.raises(ValueError, match="in the middle"):
            fail_in_the_middle()
        next(dataset.batches(EVERY.flip(0), 2))
        assert energies(dataset) == expected
        assert processes() == first


def test_two_iterators_at_the_same_time(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()
    pairs = zip(dataset.batches(EVERY, 4), dataset.batches(EVERY.flip(0), 4), strict=True)
    found = [(one.E.tolist(), other.E.tolist()) for one, other in pairs]
    assert [energy for one, _ in found for energy in one] == expected
    assert [energy for _, other in found for energy in other] == expected[::-1]
    assert len(processes()) == 4


def test_processes_end_with_the_data_set(dataset: MoleculeDataset) -> None:
    own = MoleculeDataset(dataset.folder, in_memory=False, num_workers=2)
    energies(own)
    assert len(processes()) == 2
    gc.disable()  # nothing may have to wait for it
    try:
        del own
        assert not processes()
    finally:
        gc.enable()


def test_processes_end_with_a_data_set_in_a_cycle(dataset: MoleculeDataset) -> None:
    own = MoleculeDataset(dataset.folder, in_memory=False, num_workers=2)
    cycle: list[Any] = [own]
    cycle.append(cycle)
    energies(own)
    cycle.append(own.batches(EVERY, 4))
    next(cycle[-1])
    assert len(processes()) == 2
    del own, cycle
    gc.collect()
    assert not processes()


def test_closed_data_set_can_be_used_again(dataset: MoleculeDataset) -> None:
    iterator = dataset.batches(EVERY, 4)
    next(iterator)
    energies(dataset)
    dataset.close()
    assert len(processes()) == 2  # of the iterator that is in use
    assert len(list(iterator)) == 9
    assert not processes()
    assert energies(dataset) == dataset.E.tolist()
    dataset.close()
    dataset.close()
    assert not processes()


def test_copies_and_subsets_have_processes_of_their_own(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()
    energies(dataset)
    first = processes()
    for other in (copy.copy(dataset), copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset)), dataset[5:31]):
        assert energies(other, torch.arange(26)) == other.E.tolist()[:26]
        assert len(processes()) == 4
        other.close()
        assert processes() == first
    assert energies(dataset) == expected


def test_a_new_transform_reaches_the_processes(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()
    energies(dataset)
    dataset.transform = double_energy
    assert energies(dataset) == [2 * energy for energy in expected]
    dataset.transform = None
    assert energies(dataset) == expected
    assert len(processes()) == 2


def double_energy(data: Any) -> Any:
    data.E = 2 * data.E
    return data


def test_after_an_error_the_processes_go_on(dataset: MoleculeDataset) -> None:
    expected, file = dataset.E.tolist(), dataset.folder / "dataset.h5"
    energies(dataset)
    first, content = processes(), file.read_bytes()
    os.truncate(file, 1000)
    with pytest.raises(DataError, match="was cut short"):
        energies(dataset)
    with file.open("r+b") as restored:
        restored.write(content)
    assert energies(dataset) == expected
    assert processes() == first


def test_a_process_that_was_killed_is_replaced(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()
    energies(dataset)
    killed = min(processes())
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"DataLoader worker .* (killed|exited)"):
        energies(dataset)
    assert energies(dataset) == expected
    assert killed not in processes()


def test_a_process_that_does_not_answer_is_killed(dataset: MoleculeDataset) -> None:
    energies(dataset)
    os.kill(min(processes()), signal.SIGSTOP)
    dataset.close()
    assert not processes()


def test_where_a_process_cannot_be_started_the_others_end(
    dataset: MoleculeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, fork, started = dataset.E.tolist(), os.fork, count(1)

    def fork_once() -> int:
        if next(started) == 2:
            raise BlockingIOError("no more processes")
        return fork()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fork_once)
        with pytest.raises(BlockingIOError, match="no more processes"):
            energies(dataset)
    assert not processes()
    assert energies(dataset) == expected


def test_a_fork_does_not_end_the_processes(dataset: MoleculeDataset) -> None:
    expected = dataset.E.tolist()
    energies(dataset)
    first = processes()
    fork = multiprocessing.get_context("fork").Process(target=dataset.close)
    fork.start()
    fork.join()
    assert fork.exitcode == 0
    assert energies(dataset) == expected
    assert processes() == first


INTERRUPTED = str(Path(__file__).with_name("interrupted_batches.py"))


def in_session(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.parametrize(
    ("name", "whom", "status"),
    [("SIGINT", "all", 130), ("SIGINT", "one", 130), ("SIGTERM", "all", 143), ("SIGKILL", "one", -9)],
)
def test_a_signal_at_any_instant_ends_all(dataset: MoleculeDataset, name: str, whom: str, status: int) -> None:
    """While processes start, hand over batches, begin again, and end."""
    arguments = [INTERRUPTED, str(dataset.folder), name, whom]
    code, out, err = programs.run([*arguments, "0"])
    assert (code, err) == (0, "")
    lines = int(out.split()[1])
    # most of them in the first fifth, in which the processes are started
    instants = [lines * k // 60 for k in range(1, 12)] + [lines * k // 7 for k in range(2, 7)]
    running = [(at, Program([*arguments, str(at)])) for at in instants]
    for at, program in running:
        out, err = program.communicate()
        # of an object that PyTorch or Python was just making, or closing, when it took a tensor from a process
        err = re.split(r"Exception ignored in: <function (?:StorageWeakRef|_ConnectionBase)\.__del__", err)[0]
        assert (at, program.returncode, err) == (at, status, "" if name == "SIGKILL" else "Stopped.\n")
        last = time.monotonic() + 10
        while left := in_session(int(out)):
            assert time.monotonic() < last, (at, left)
            time.sleep(0.02)


PROGRAM = """
import multiprocessing, signal, sys, time
import torch
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.runtime.signals import stoppable
if __name__ == "__main__":
    dataset = MoleculeDataset(sys.argv[1], in_memory=False, num_workers=2)
    list(dataset.batches(torch.arange(40), 4))
    left = dataset.batches(torch.arange(40), 4)  # in use until the end of Python
    next(left)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    if sys.argv[2] == "wait":
        with stoppable():
            for batch in dataset.batches(torch.arange(40).repeat(100000), 4):
                time.sleep(0.01)
"""


@pytest.mark.parametrize("signals", [(), (signal.SIGTERM,), (signal.SIGINT,), (signal.SIGKILL,)])
def test_no_process_is_left_when_python_ends(dataset: MoleculeDataset, signals: tuple[signal.Signals, ...]) -> None:
    command = [sys.executable, "-c", PROGRAM, str(dataset.folder), "wait" if signals else "end"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            assert run.stdout is not None
            workers = [int(pid) for pid in run.stdout.readline().split()]
            assert len(workers) == 2
            time.sleep(0.5)
            for number in signals:
                # SIGTERM as a batch system sends it, to all processes of the job
                (os.kill if number == signal.SIGKILL else os.killpg)(run.pid, number)
            _, errors = run.communicate(timeout=30)
        finally:
            run.kill()
    assert run.returncode == (-signals[0] if signals == (signal.SIGKILL,) else bool(signals)), errors
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            return
        time.sleep(0.2)  # who was killed is missed by its processes within 5 s
    raise AssertionError("processes are left")
