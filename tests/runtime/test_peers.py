"""The watch over other processes; both of two are in this one."""

import json
import os
import signal
import subprocess
import threading
import time
from typing import Any

import pytest
from several_processes import free_port

from pyg_nnp.runtime import peers
from pyg_nnp.runtime.launch import Launch
from pyg_nnp.runtime.peers import Watch, connect


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], Watch, Watch]:
    """Return a list with the store, which it alone holds, and the watches of two processes."""
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: None)
    port = free_port()
    launches = [Launch(number, 2, number, 2, "127.0.0.1", port) for number in range(2)]
    store = [connect(launches[0], serve=True)]
    return store, Watch(launches[0], serves=True), Watch(launches[1])


def test_the_first_that_fails_says_why(watches: tuple[list[Any], Watch, Watch]) -> None:
    _, first, second = watches
    assert second.fail(2, "no memory")
    assert not first.fail(2, "another thing")
    first._look()
    assert first.failure == (1, 2, "no memory")


def test_one_that_was_told_the_reason_says_no_other(watches: tuple[list[Any], Watch, Watch]) -> None:
    """Although the first process, which serves the store, has ended before this one does."""
    store, first, second = watches
    assert first.fail(143, "SIGTERM")
    second._look()
    assert first.lost() == []
    store.clear()
    assert not second.fail(143, "SIGTERM")
    assert second.failure == (0, 143, "SIGTERM")


def test_one_that_was_not_told_says_that_the_first_is_gone(watches: tuple[list[Any], Watch, Watch]) -> None:
    store, _, second = watches
    store.clear()
    second.run()
    assert second.failure is not None
    assert "the first process cannot be reached any more" in second.failure.text
    assert second.fail(2, "the connection was lost")
    assert second.lost() == [0]


def begun(*watches: Watch) -> None:
    """Start watches, all of which must be here before one goes on."""
    threads = [threading.Thread(target=watch.wait_for_start) for watch in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for watch in watches:
        watch.start()


def test_who_serves_the_store_leaves_last(watches: tuple[list[Any], Watch, Watch]) -> None:
    store, first, second = watches
    begun(first, second)

    def end() -> None:
        first.stop()
        store.clear()

    ending = threading.Thread(target=end)
    ending.start()
    ending.join(timeout=2.0)
    assert ending.is_alive()
    assert second.fail(2, "an error that the first has not")
    second.stop()
    ending.join(timeout=10.0)
    assert not ending.is_alive()


def test_a_slow_process_is_waited_for(watches: tuple[list[Any], Watch, Watch]) -> None:
    _, first, second = watches
    second._store.set("here/1", json.dumps([peers._machine(), os.getpid()]))
    assert first.fail(2, "no memory")
    answer = threading.Timer(3.0, second._look)
    answer.start()
    assert first.lost() == []
    answer.join()


@pytest.mark.parametrize("is_of_this_machine", [True, False])
def test_a_killed_process_is_not_waited_for(
    watches: tuple[list[Any], Watch, Watch], monkeypatch: pytest.MonkeyPatch, is_of_this_machine: bool
) -> None:
    """If that can be known."""
    _, first, second = watches
    monkeypatch.setattr(peers, "_ANSWER", 60.0 if is_of_this_machine else 0.5)
    first.start()
    with subprocess.Popen(["sleep", "600"]) as other:
        machine = peers._machine() if is_of_this_machine else "another"
        second._store.set("here/1", json.dumps([machine, other.pid]))
        assert first.fail(2, "no memory")
        other.kill()
        start = time.monotonic()
        assert first.lost() == [1]  # it has ended, and nobody has asked for its status yet
    assert first._has_ended(1) == is_of_this_machine
    first.stop()  # it is not waited for again
    assert time.monotonic() - start < 30.0


def test_the_end_of_the_store_is_no_news_after_a_failure(watches: tuple[list[Any], Watch, Watch]) -> None:
    store, first, second = watches
    assert first.fail(143, "SIGTERM")
    second._look()
    store.clear()
    second.run()
    assert second.failure == (0, 143, "SIGTERM")
    assert not second.fail(143, "SIGTERM")
