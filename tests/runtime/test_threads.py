"""How many threads a process takes."""

import os
import time
from pathlib import Path

import pytest
import torch

from pyg_nnp.runtime import threads


@pytest.fixture(autouse=True)
def _as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000", 64), ("100000 100000", 1), ("150000 100000", 2), ("10000 100000", 1)]
)
def test_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    groups = tmp_path / "cgroup"
    groups.write_text("0::/outer/inner\n")
    (tmp_path / "outer/inner").mkdir(parents=True)
    # that of the outer group counts for the inner one
    (tmp_path / "outer/cpu.max").write_text(content + "\n")
    (tmp_path / "outer/inner/cpu.max").write_text("max 100000\n")
    assert threads.allowed_processors(groups, tmp_path) == expected


def test_quota_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    groups = tmp_path / "cgroup"
    groups.write_text("5:memory:/a\n4:cpu,cpuacct:/a\n")
    (tmp_path / "cpu/a").mkdir(parents=True)
    for name, number in (("quota", 300000), ("period", 100000)):
        (tmp_path / f"cpu/a/cpu.cfs_{name}_us").write_text(f"{number}\n")
    assert threads.allowed_processors(groups, tmp_path) == 3
    (tmp_path / "cpu/a/cpu.cfs_quota_us").write_text("-1\n")
    assert threads.allowed_processors(groups, tmp_path) == 64
    assert threads.allowed_processors(tmp_path / "none", tmp_path) == 64


def test_what_is_given_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "allowed_processors", lambda: 1)
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads.take_allowed()
    assert torch.get_num_threads() == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.take_allowed()
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("faster", [1, 3])
def test_the_faster_number(faster: int) -> None:
    torch.set_num_threads(3)
    number, times = threads.faster_number(lambda: time.sleep(0.002 if torch.get_num_threads() == faster else 0.02))
    assert number == faster
    assert times[faster] < times[4 - faster]
    assert torch.get_num_threads() == 3
