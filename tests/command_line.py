"""What tests of commands on a trained model share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from pyg_nnp.commands import cli
from pyg_nnp.data.formats.readers import read_blocks

MODEL = "out/FF01-SchNet"
FEATURES = {"Ra": "coordinates", "Za": "atomic_numbers", "Q": "total_charge", "N": "number_of_atoms"}
TARGETS = {"E": "energy", "Fa": "forces", "Qa": "atomic_charges", "M2": "dipole"}


def toy_arrays() -> dict[str, np.ndarray[Any, Any]]:
    (block,) = read_blocks(Path("dataset.pkl"), "pickle", FEATURES | TARGETS)
    return block.arrays


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == cli.USER_ERROR
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


def water(charge: int | None = None) -> Atoms:
    atoms = Atoms("OH2", [[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    if charge is not None:
        atoms.info["charge"] = charge
    return atoms
