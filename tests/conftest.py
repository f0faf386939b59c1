import pytest
from molecules import some_molecules
from torch_geometric.data import Batch, Data


@pytest.fixture
def molecules() -> list[Data]:
    return some_molecules()


@pytest.fixture
def batch(molecules: list[Data]) -> Batch:
    return Batch.from_data_list(molecules)
