"""A disk that is full at each kind of write of a training: one message, and what was there before is as it was."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from toy import toy_config, write_config, write_toy

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"


def train(folder: Path, limit: int | None = None, *options: str) -> tuple[int, str]:
    """Train in a process that can write no file larger than ``limit`` bytes."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, str(SCRIPT), "train.yaml", "-o", "out", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=limited,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(folder / "numba")},
        check=False,
    )
    return done.returncode, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if "numba" not in path.parts}


@pytest.mark.parametrize("limit", [100, 2000, 5000, 20000, 40000, 43000])
def test_a_full_disk(tmp_path: Path, limit: int) -> None:
    """The larger the limit, the later the write that fails: log, configuration, store, split, potential, training."""
    write_toy(tmp_path)
    write_config(tmp_path, yaml.safe_dump(toy_config()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/config.yaml").write_text("kept: 1\n")
    before = contents(tmp_path)
    status, message = train(tmp_path, limit)
    after = contents(tmp_path)
    kept = {name.replace("config.1.yaml", "config.yaml"): content for name, content in after.items()}
    failed = next((line for line in message.splitlines() if "File too large" in line), message)
    print(f"\n{limit} bytes: status {status}, {failed}")
    assert status == 2
    assert "Traceback" not in message
    assert not [name for name in after if ".partial" in name]
    assert before["dataset.pkl"] == after["dataset.pkl"]
    assert before["out/config.yaml"] in (after.get("out/config.yaml"), after.get("out/config.1.yaml")), kept
    # with space again, everything that was written is used or made anew
    assert train(tmp_path, None, "--resume")[0] == 0
