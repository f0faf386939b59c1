import resource
from pathlib import Path

import psutil
import pytest

from pyg_nnp.runtime import memory
from pyg_nnp.runtime.memory import available_memory

MB = 1 << 20


def test_at_most_what_is_free() -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(("kind", "taken"), [(resource.RLIMIT_DATA, "data"), (resource.RLIMIT_AS, "vms")])
def test_limits_of_the_process_count(kind: int, taken: str) -> None:
    soft, hard = resource.getrlimit(kind)
    own = getattr(psutil.Process().memory_info(), taken)
    try:
        resource.setrlimit(kind, (own + 300 * MB, hard))
        assert 100 * MB < available_memory() <= 300 * MB
    finally:
        resource.setrlimit(kind, (soft, hard))


def test_limits_of_control_groups_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUPS", dict.fromkeys((1, 2), (tmp_path, "limit")))
    without = available_memory()
    (tmp_path / "limit").write_text("max\n")
    assert available_memory() > without / 2
    (tmp_path / "limit").write_text(f"{psutil.Process().memory_info().rss + 300 * MB}\n")
    assert 200 * MB < available_memory() <= 300 * MB
    (tmp_path / "limit").write_text("1\n")
    assert available_memory() == 0
