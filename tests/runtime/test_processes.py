"""What several processes know of each other; as a program, one of three."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from several_processes import Started, run_together

from pyg_nnp.errors import ProcessError
from pyg_nnp.runtime import processes
from pyg_nnp.runtime.launch import Launch, launched
from pyg_nnp.runtime.peers import Failure
from pyg_nnp.runtime.signals import Stopped

COUNT = 3


def test_one_process_gets_what_it_gives() -> None:
    assert (processes.count(), processes.number(), processes.local_count()) == (1, 0, 1)
    values = torch.arange(3.0)
    assert processes.total(values) is values
    assert processes.gather("a") == ["a"]
    assert processes.once(lambda: 3) == 3
    assert processes.number_of_first(0.1) == 0.1
    assert list(processes.in_turn([1, 2], lambda item: 2 * item)) == [(1, 2), (2, 4)]


class Work:
    """An operation that ends while a wait for it gives up, or fails then."""

    def __init__(self, error: str | None) -> None:
        self.waits, self.error = 0, error

    def is_completed(self) -> bool:
        return self.waits > 0

    def wait(self, *_: object) -> None:
        self.waits += 1
        if self.waits == 1 or self.error:
            raise RuntimeError("Operation timed out!" if self.waits == 1 else self.error)


def test_an_operation_that_ends_when_a_wait_gives_up() -> None:
    watch: Any = SimpleNamespace(failure=None)
    processes._finish(work := Work(None), False, watch)
    assert work.waits == 2
    with pytest.raises(KeyboardInterrupt, match="connection closed"):
        processes._finish(Work("connection closed"), False, watch)


class LateWatch:
    """One that stops this process, since another has failed, in the instant in which this one begins to end."""

    failure: Failure | None = None

    def __init__(self, launch: Launch, serves: bool) -> None:
        pass

    def start(self) -> None:
        pass

    stop = start

    def wait_for_start(self) -> list[int]:
        return []

    def fail(self, status: int, text: str) -> bool:
        if self.failure is None:
            self.failure = Failure(0, 2, "no memory")
            raise Stopped(signal.SIGTERM)
        return False


def test_the_message_is_left_to_another_process_whenever_its_failure_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "connect", lambda *_: None)
    monkeypatch.setattr(processes, "Watch", LateWatch)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended, processes.joined(Launch(1, 2, 1, 2, "127.0.0.1", 1)):
            raise ValueError("an error of its own")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 2
    assert processes.count() == 1


def test_several_processes(tmp_path: Path) -> None:
    assert run_together(tmp_path, COUNT, str(Path(__file__))) == ["done\n"] * COUNT


def test_a_process_that_is_refused_ends_all(tmp_path: Path) -> None:
    """Whatever the others wait for."""
    statuses, out, err = Started(tmp_path, 2, [str(Path(__file__)), "fail"]).results()
    assert statuses[0] != 0
    assert statuses[1] != 0
    assert "this is refused" in err[1]
    assert "refused" not in err[0]
    assert "done" not in "".join(out)


def check() -> None:
    number = processes.number()
    total = processes.total(torch.full((4,), number + 1, dtype=torch.float64))
    assert total.tolist() == [6.0] * 4
    # of x_0 x_1 x_2 each has the derivative with respect to its own
    x = torch.tensor(number + 1.0, dtype=torch.float64, requires_grad=True)
    own = torch.zeros(COUNT, dtype=torch.float64)
    own[number] = 1.0
    product = processes.differentiable_total(own * x).prod()
    product.backward()
    assert (float(product), float(x.grad)) == (6.0, 6.0 / (number + 1))
    assert processes.gather({"a": number, "b": torch.ones(number)})[2]["b"].shape == (2,)
    assert processes.gather(None) == [None] * COUNT
    assert processes.once(lambda: (number, processes.count())) == (0, 1)
    assert processes.number_of_first(number + 0.25) == 0.25
    weight = torch.nn.Parameter(torch.full((2,), float(number)))
    processes.take_from_first([weight])
    assert weight.tolist() == [0.0, 0.0]
    computed = []

    def square(item: int) -> int:
        computed.append(item)
        return item * item

    assert list(processes.in_turn(range(8), square)) == [(item, item * item) for item in range(8)]
    assert computed == list(range(number, 8, COUNT))
    assert list(processes.in_turn([], square)) == []


if __name__ == "__main__":
    import sys

    from pyg_nnp.runtime.signals import stoppable

    launch = launched()
    assert launch is not None
    with stoppable(), processes.joined(launch):
        if sys.argv[1:]:
            if launch.number == 1:
                raise ProcessError("this is refused")
            processes.wait_for_all()
        else:
            check()
    print("done")
