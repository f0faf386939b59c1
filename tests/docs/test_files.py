"""docs/files.md: the names it gives are those in the files of a run."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import h5py
import pytest
from safetensors import safe_open
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text()
MODEL = "FF01-SchNet"


def documented(head: str) -> set[str]:
    """Return the names in the first column of the only table whose first column has this head."""
    (found,) = re.findall(rf"^\| {re.escape(head)} \| \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return set(re.findall(r"^\| `([^`]+)` \|", found, re.MULTILINE))


def tables_after(heading: str, head: str) -> set[str]:
    """Return the names of the first table with this head after a heading."""
    text = PAGE[PAGE.index(f"## {heading}\n") :]
    table = re.search(rf"^\| {re.escape(head)} \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return set(re.findall(r"^\| `([^`]+)` \|", table[1], re.MULTILINE))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_toy(folder)
        write_config(folder, toy_config(Trainer__max_epochs=1, Trainer__report=True))
        assert cli.main(["train", "train.yaml", "-o", "run"]) == 0
    return folder / "run"


def saved(path: Path, key: str) -> tuple[str, set[str]]:
    with safe_open(path, "np") as file:
        assert set(file.metadata()) == {key}
        return file.metadata()[key], set(file.keys())


def test_folder_has_the_files_of_the_page(run: Path) -> None:
    (listed,) = re.findall(r"```text\n(config.yaml\n.*?)```", PAGE, re.DOTALL)
    names = {re.escape(line.strip().rpartition("/")[2]) for line in listed.splitlines() if not line.endswith("/")}
    patterns = {
        name.replace("<hash>", "[0-9a-f]{16}").replace(r"2026\-01\-31_12\-00\-00", r"[0-9_-]+") for name in names
    }
    found = {path.name for path in run.rglob("*") if path.is_file() and path.name != ".lock" and path.suffix != ".png"}
    for name in found:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
    assert len(found) == len(patterns)


def test_run_record(run: Path) -> None:
    assert json.loads((run / MODEL / "run.json").read_text()).keys() == documented("key of `run.json`")


def test_history(run: Path) -> None:
    columns = (run / MODEL / "history.csv").read_text().splitlines()[0].split(",")
    errors = {name for name in columns if re.fullmatch("(rmse|mae|mse)_(E|Fa|Qa|M2|Q)", name)}
    assert len(errors) == 5
    assert set(columns) - errors == documented("column") - {"KIND_FIELD"}


def test_metrics(run: Path) -> None:
    metrics: dict[str, Any] = json.loads((run / MODEL / "metrics.json").read_text())
    assert set(metrics) == tables_after("metrics.json", "key")
    assert set(metrics["test"]) == {"score", "count", "rmse"}


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_potential(run: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, tensors = saved(run / MODEL / name, "potential")
    description = json.loads(text)
    only_last = {"training"} if name.startswith("best") else set()
    assert set(description) == tables_after("best.safetensors and last.safetensors", "key") - only_last
    patterns = documented("name") - {"training.random_cuda"}
    if name.startswith("best"):
        patterns = {pattern for pattern in patterns if not pattern.startswith("training")}
    else:
        assert set(description["training"]) == documented("key of `training`")
    expressions = [re.escape(p).replace("NUMBER", r"\d+").replace("…", ".+") for p in patterns]
    matched = {e for e in expressions for tensor in tensors if re.fullmatch(e, tensor)}
    assert matched == set(expressions)
    assert all(any(re.fullmatch(e, tensor) for e in expressions) for tensor in tensors)
    monkeypatch.chdir(run / MODEL)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code.replace("best.safetensors", name), {})


def test_store(run: Path) -> None:
    (path,) = run.glob("processed_dataset_*/dataset.h5")
    found: set[str] = set()
    with h5py.File(path) as file:
        assert set(file.attrs) == documented("attribute")
        file.visititems(lambda name, item: found.add(name) if isinstance(item, h5py.Dataset) else None)
        types = {name: str(rows.dtype) for name, rows in file["fields"].items()}
        assert all(set(rows.attrs) == {"shared"} for rows in file["fields"].values())
    assert types == dict.fromkeys(types, "float64") | {"Za": "uint8", "N": "int32"}
    found = {re.sub(r"fields/\w+", "fields/NAME", re.sub(r"lists/\d+", "lists/NUMBER", name)) for name in found}
    assert found == documented("in `dataset.h5`")
    sealed, _, line = path.read_bytes().rpartition(b"\npyg_nnp store, layout 003, sha256 ")
    blocks = -(-len(sealed) // (65536 + 32))
    content, digests = sealed[: -32 * blocks], sealed[-32 * blocks :]
    firsts = range(0, len(content), 65536)
    assert digests == b"".join(hashlib.sha256(content[first : first + 65536]).digest() for first in firsts)
    assert line == hashlib.sha256(digests).hexdigest().encode() + b"\n"


def test_split(run: Path) -> None:
    (path,) = run.glob("processed_dataset_*/split_*.safetensors")
    text, parts = saved(path, "split")
    description, _, sha = text.partition(" sha256 ")
    assert set(json.loads(description)) == documented("key of `split`")
    assert parts == {"training", "validation", "test"}
    with safe_open(path, "np") as file:
        frames = b"".join(file.get_tensor(part).tobytes() for part in json.loads(description)["parts"])
    assert hashlib.sha256(description.encode() + frames).hexdigest() == sha


def test_summary(run: Path) -> None:
    (path,) = run.glob("processed_dataset_*/summary_*.safetensors")
    text, arrays = saved(path, "summary")
    description, _, sha = text.partition(" sha256 ")
    assert set(json.loads(description)) == documented("key of `summary`")
    assert arrays == documented("array of a summary")
    assert hashlib.sha256(description.encode()).hexdigest() == sha
    with safe_open(path, "np") as file:
        found = {name: hashlib.sha256(file.get_tensor(name).tobytes()).hexdigest() for name in arrays}
    assert found == json.loads(description)["sha256"]
    (store,) = run.glob("processed_dataset_*/dataset.h5")
    assert store.read_bytes().split()[-1].decode() == json.loads(description)["store"]
