"""How this process was started: alone, or as one of several by ``torchrun`` or ``srun``."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """One of several processes, as its launcher describes it.

    Attributes:
        number: of this process among all, from 0 on.
        count: number of all processes.
        local_number: of this process among those of its machine.
        local_count: number of processes of its machine.
        address: of the machine of the first process.
        port: of the key-value store there.
        has_store: whether the launcher serves that store; else the first process does.
        attempt: how often the launcher has started the processes again.
    """

    number: int
    count: int
    local_number: int
    local_count: int
    address: str
    port: int
    has_store: bool = False
    attempt: int = 0


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return how this process was started, by its environment; None where it is the only one."""
    if int(environment.get("WORLD_SIZE") or 1) > 1 and {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        number, count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        return Launch(
            number,
            count,
            int(environment.get("LOCAL_RANK", number)),
            int(environment.get("LOCAL_WORLD_SIZE", count)),
            environment["MASTER_ADDR"],
            int(environment["MASTER_PORT"]),
            environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
            int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)),
        )
    # sbatch sets variables of the same meaning for the script itself, but not those of a step
    if int(environment.get("SLURM_STEP_NUM_TASKS") or 1) > 1 and "SLURM_PROCID" in environment:
        machines = max(1, int(environment.get("SLURM_STEP_NUM_NODES") or 1))
        job, step = int(environment.get("SLURM_JOB_ID", 0)), int(environment.get("SLURM_STEP_ID", 0))
        return Launch(
            int(environment["SLURM_PROCID"]),
            count := int(environment["SLURM_STEP_NUM_TASKS"]),
            int(environment.get("SLURM_LOCALID", 0)),
            -(-count // machines),
            environment.get("MASTER_ADDR") or _first_host(environment.get("SLURM_STEP_NODELIST", "localhost")),
            int(environment.get("MASTER_PORT") or 20_000 + (job * 16 + step) % 40_000),
        )
    return None


def _first_host(nodes: str) -> str:
    """Return the first of a list of hosts as SLURM writes it, such as ``n[01-04,7],gpu3`` or ``n1``."""
    found = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\]([^,]*))?", nodes)
    return "".join(filter(None, found.groups())) if found else nodes
