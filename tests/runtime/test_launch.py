import pytest

from pyg_nnp.runtime.launch import Launch, launched

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "n1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "2",
}
SRUN = {
    "SLURM_JOB_ID": "1000",
    "SLURM_STEP_ID": "3",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "0",
}


def test_alone() -> None:
    assert launched({}) is None
    assert launched({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}) is None
    # the script of a job is not one of its tasks
    assert launched({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) is None
    assert launched({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_by_torchrun() -> None:
    assert launched(TORCHRUN) == Launch(5, 8, 1, 4, "n1", 29500, True, 2)


@pytest.mark.parametrize(
    ("nodes", "first"), [("n1", "n1"), ("n[01-03,7],gpu2", "n01"), ("a-b[3,5]-ib,c", "a-b3-ib"), ("x1,x2", "x1")]
)
def test_by_srun(nodes: str, first: str) -> None:
    found = launched({**SRUN, "SLURM_STEP_NODELIST": nodes})
    assert found == Launch(4, 6, 0, 2, first, 20000 + 16003)
    # what is given counts
    given = launched({**SRUN, "SLURM_STEP_NODELIST": nodes, "MASTER_ADDR": "here", "MASTER_PORT": "7"})
    assert given is not None
    assert (given.address, given.port) == ("here", 7)
