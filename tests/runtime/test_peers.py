"""The watch over other processes; both of two are in this one."""

import signal
from typing import Any

import pytest
from several_processes import free_port

from pyg_nnp.runtime.launch import Launch
from pyg_nnp.runtime.peers import Watch, connect


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], Watch, Watch]:
    """Return a list with the store, which it alone holds, and the watches of two processes."""
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: None)
    port = free_port()
    launches = [Launch(number, 2, number, 2, "127.0.0.1", port) for number in range(2)]
    store = [connect(launches[0], serve=True)]
    return store, Watch(launches[0]), Watch(launches[1])


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
