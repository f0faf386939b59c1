"""All that is to be checked on a GPU, in one command, in less than eight minutes.

make gpu
python benchmarks/gpu.py --device cuda --json gpu.json

Each part runs in a process of its own with a time limit, so that one that hangs or fails does not cost the others, and
what a part found is written at once. Nothing here runs for the first time on a GPU: ``--device cpu --small`` runs all.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from common import make_parser, system
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
# of the end of what a part that failed printed
TAIL = 20000


class Part(NamedTuple):
    """A command, and how long it may take [s]."""

    command: tuple[str, ...]
    limit: float


def parts(device: str, small: bool) -> dict[str, Part]:
    """Return the parts, in order; each but the first writes JSON to what follows it in the command."""
    python, options = sys.executable, ("--device", device, *(("--small",) if small else ()))
    kernels = ["tests/kernels/test_gpu.py", "tests/functional/test_neighbor_search.py"]
    # other versions of packages than those of constraints.txt may warn
    pytest = (python, "-m", "pytest", "-p", "no:cacheprovider", "-o", "filterwarnings=default", "-rs", *kernels)

    def script(name: str, *more: str) -> tuple[str, ...]:
        return python, str(BENCHMARKS / f"{name}.py"), *more, *options

    return {
        "tests": Part(pytest, 150),
        "correct": Part(script("on_device", "correct"), 90),
        "steps": Part(script("steps", "--repeats", "2" if small else "11"), 90),
        "molecule": Part(script("molecule", "--repeats", "2" if small else "11"), 60),
        "profile": Part(script("on_device", "profile"), 60),
        "example": Part(script("on_device", "example"), 120),
    }


def run(part: Part, limit: float, has_results: bool) -> dict[str, Any]:
    """Run a part, and return its results, or the end of what it printed."""
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [*part.command, *(("--json", str(results)) if has_results else ())]
        try:
            done = subprocess.run(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit
            )
            status, output = str(done.returncode), done.stdout
        except subprocess.TimeoutExpired as error:
            status, output = f"stopped after {limit:g} s", (error.stdout or b"").decode(errors="replace")
        found = {"seconds": perf_counter() - started, "exit status": status, "output": output[-TAIL:]}
        return found | ({"results": json.loads(results.read_text())} if results.exists() else {})


def driver() -> str:
    """Return what nvidia-smi says of the GPUs: names, driver, clocks and memory in use."""
    asked = "name,driver_version,clocks.sm,clocks.mem,memory.used,memory.total,utilization.gpu"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny systems or few steps, to see whether it runs")
    parser.add_argument("--parts", nargs="*", metavar="PART", help="these alone")
    parser.add_argument("--json", type=Path, metavar="FILE", required=True, help="where the results go")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --device cpu --small shows that everything runs")
    document: dict[str, Any] = {"system": system(arguments.device)}
    document["nvidia-smi"] = driver() if arguments.device == "cuda" else ""
    console = Console(width=140)
    chosen = parts(arguments.device, arguments.small)
    for name in arguments.parts or chosen:
        # limits are those of a GPU
        limit = chosen[name].limit * (1 if arguments.device == "cuda" else 10)
        document[name] = run(chosen[name], limit, has_results=name != "tests")
        console.rule(f"{name}: {document[name]['seconds']:.0f} s, exit status {document[name]['exit status']}")
        console.print(document[name]["output"], markup=False, highlight=False)
        partial = arguments.json.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, arguments.json)
    return max(document[name]["exit status"] != "0" for name in arguments.parts or chosen)


if __name__ == "__main__":
    sys.exit(main())
