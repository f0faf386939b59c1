from pathlib import Path

import pytest
from molecules import some_molecules
from torch_geometric.data import Batch, Data

from pyg_nnp.commands import train as run
from pyg_nnp.errors import UserError


@pytest.fixture(autouse=True)
def _mistakes_in_reports_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be made is a warning; in tests only where files or data are the reason."""
    warn = run.warn_of_no_report

    def warn_or_fail(name: str, out: Path, error: Exception) -> None:
        if not isinstance(error, OSError | UserError):
            raise error
        warn(name, out, error)

    monkeypatch.setattr(run, "warn_of_no_report", warn_or_fail)


@pytest.fixture
def molecules() -> list[Data]:
    return some_molecules()


@pytest.fixture
def batch(molecules: list[Data]) -> Batch:
    return Batch.from_data_list(molecules)
