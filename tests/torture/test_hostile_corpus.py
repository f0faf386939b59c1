"""Every malicious file is refused with one message, runs nothing, and takes neither memory nor time."""

import collections
from pathlib import Path

from torture.hostile_checks import faults, open_all


def test_malicious_files(tmp_path: Path) -> None:
    results = open_all(tmp_path / "hostile")
    kinds = collections.Counter(name.partition(":")[0] for name in results)
    executed = [name for name, result in results.items() if result["executed"]]
    found = faults(results)
    print(f"\n{len(results)} malicious files, {len(executed)} executed, {len(found)} without a message", dict(kinds))
    assert len(results) >= 200
    assert not found
