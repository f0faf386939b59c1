"""Malicious files, and a runner that opens each in a process of its own with little memory.

``python hostile.py FOLDER [NAME ...]`` opens all or those that are named, and prints a JSON object: name -> what became
of it.
"""

import json
import os
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torture.hostile_files as make
import yaml
from torture.hostile_cases import cases
from torture.hostile_pickles import MARK
from toy import TOY_CONFIG, toy_config, write_config, write_toy

from pyg_nnp import build_potential, load_potential
from pyg_nnp.commands import cli
from pyg_nnp.config import config_from_dict
from pyg_nnp.errors import UserError
from pyg_nnp.potential.checkpoint import BEST, save_potential

SPARE_MEMORY = 1 << 30  # bytes for each process beyond what it has when it begins
SECONDS = 60


def reads(data_file: str, data_format: str) -> dict[str, Any]:
    features = (
        {"Ra": "R", "Za": "z"} if data_format in ("pickle", "npz", "hdf5") else {"Ra": "positions", "Za": "numbers"}
    )
    document = toy_config(Datahub__data_path=data_file, Datahub__data_format=data_format, Datahub__features=features)
    document["Datahub"] |= {"targets": {"E": "E"}, "transforms": {}}
    model = document["Modelhub"]["FF01"]
    model["loss"] = document["Metrics"] = {"rmse": {"E": 1}}
    return document


def prepare(folder: Path) -> None:
    """Write what each case begins with: data, a configuration, a saved potential."""
    (folder / "model").mkdir(parents=True)
    write_toy(folder)
    write_config(folder)
    save_potential(
        build_potential(config_from_dict(yaml.safe_load(TOY_CONFIG.replace("1e-2", "0.01"))), "FF01"),
        folder / "model" / BEST,
        {},
    )


def open_file(kind: str, folder: Path) -> int:
    """Do what a user would do with the file."""
    if kind == "potential":
        try:
            load_potential(folder / "model")
        except UserError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return cli.USER_ERROR
        return 0
    files = {"pickle": "data.pkl", "npz": "data.npz", "hdf5": "data.h5", "extxyz": "data.xyz", "ase": "data.db"}
    files["aselmdb"] = "data.aselmdb"
    if kind in files:
        write_config(folder, reads(files[kind], kind))
    return cli.main(["train", "train.yaml", "-o", "out"])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def limited_memory() -> None:
    held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
    resource.setrlimit(resource.RLIMIT_DATA, (held * 1024 + SPARE_MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def in_a_process(work: Callable[[], int], errors: Path) -> int:
    """Return what became of the process: its exit code, or minus the signal that ended it."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        with errors.open("w") as file, redirect_stderr(file):
            try:
                limited_memory()
                code = work()
            except BaseException:
                traceback.print_exc()
    finally:
        os._exit(code)


def run(name: str, base: Path, prepared: Path) -> dict[str, Any]:
    kind, write = cases()[name]
    folder = base / "case"
    shutil.copytree(prepared, folder)
    make.outside(folder)
    os.chdir(folder)
    write(folder)
    before, began = tree(base / "outside"), time.monotonic()
    code = in_a_process(lambda: open_file(kind, folder), base / "errors")
    message = (base / "errors").read_text(errors="replace")
    made = {path.name for path in folder.iterdir()}
    result = {
        "code": code,
        "message": message[:6000],
        "seconds": time.monotonic() - began,
        "executed": MARK in made or (folder / f"{MARK}.npy").exists(),
        "wrote outside": tree(base / "outside") != before or {p.name for p in base.iterdir()} > ALLOWED,
    }
    os.chdir(base)
    shutil.rmtree(folder)
    return result


ALLOWED = {"case", "outside", "errors", "prepared"}


def main(base: Path, names: list[str]) -> None:
    base = base.resolve()
    prepare(base / "prepared")
    print(json.dumps({name: run(name, base, base / "prepared") for name in names or cases()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
