"""A disk that is full at each kind of write of a training: one message, and what was there before is as it was."""

import os
import re
import resource
import shutil
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
    """Return what is in the files, but for logs, compiled kernels and the times of a run."""
    paths = (path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts)
    paths = (path for path in paths if "numba" not in path.parts)
    return {str(path.relative_to(folder)): without_times(path) for path in paths}


def without_times(path: Path) -> bytes:
    """Return the content of a file without the start of the run and the seconds of its epochs."""
    content = path.read_bytes()
    if path.name == "run.json":
        return re.sub(rb'"started": "[^"]*"', b"", content)
    if path.name == "history.csv":  # seconds are the last column
        return b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
    return content


@pytest.mark.parametrize("limit", [100, 2000, 5000, 20000])
def test_a_full_disk(tmp_path: Path, limit: int) -> None:
    """The larger the limit, the later the write that fails: log, configuration, store."""
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


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_a_full_disk_at_a_checkpoint(tmp_path: Path, name: str) -> None:
    """The store is there already; the file that does not fit is one of the training."""
    write_toy(tmp_path)
    write_config(tmp_path, yaml.safe_dump(toy_config()))
    assert train(tmp_path)[0] == 0
    whole = contents(tmp_path / "out")
    stores = {path.name: path for path in (tmp_path / "out").glob("processed_dataset_*")}
    shutil.rmtree(tmp_path / "out/FF01-SchNet")
    status, message = train(tmp_path, len(whole[f"FF01-SchNet/{name}"]) - 1)
    after = contents(tmp_path / "out")
    failed = next((line for line in message.splitlines() if "File too large" in line), message)
    print(f"\n{name}: status {status}, {failed}")
    assert status == 2
    assert f"{name}: File too large" in failed
    assert "Traceback" not in message
    assert not [path for path in after if ".partial" in path or path.endswith(f"/{name}")]
    assert all(after[path] == whole[path] for path in whole if path.partition("/")[0] in stores)
    assert train(tmp_path, None, "--resume")[0] == 0
    assert contents(tmp_path / "out") == whole
