"""What must become of a malicious file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

RUNNER = Path(__file__).with_name("hostile.py")
SECONDS = 30  # on a busy machine; most take less than one


def open_all(folder: Path, *names: str) -> dict[str, dict[str, Any]]:
    """Open malicious files, all or those with these names, each in a process of its own."""
    paths = [str(RUNNER.parents[2]), str(RUNNER.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(RUNNER), str(folder), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


def faults(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return those that did anything else than to end with one message about the file."""
    return {name: result for name, result in results.items() if not _is_refused(result)}


def _is_refused(result: dict[str, Any]) -> bool:
    message = result["message"]
    errors = re.findall(r"^(\w+)Error: ", message, re.MULTILINE)
    return (
        result["code"] == 2
        and not result["executed"]
        and not result["wrote outside"]
        # a MemoryError would say that memory was taken and not that the file lies
        and (errors in (["Data"], ["Config"]))
        and "Traceback" not in message
        and result["seconds"] < SECONDS
    )
