"""A potential is a predictor, and so is whatever else has what the protocol names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import MODEL, water
from molecules import make_potential
from torch_geometric.data import Batch, Data

import pyg_nnp
from pyg_nnp.inference.evaluate import evaluate_file
from pyg_nnp.inference.predict import predict_file
from pyg_nnp.layers.base import Fields
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import Predictor, large_batch, predictions
from pyg_nnp.units import Units


@dataclass
class Mean:
    """An ensemble: the mean of what two potentials of one training predict."""

    members: tuple[Potential, Potential]
    domain: TrainingDomain
    reach: float

    @property
    def outputs(self) -> list[str]:
        return self.members[0].outputs

    @property
    def units(self) -> Units:
        return self.members[0].units

    @property
    def configuration(self) -> dict[str, Any] | None:
        return self.members[0].configuration

    @property
    def device(self) -> torch.device:
        return self.members[0].device

    @property
    def dtype(self) -> torch.dtype:
        return self.members[0].dtype

    def __call__(self, data: Data) -> Fields:
        first, second = (member(data) for member in self.members)
        return {name: (first[name] + second[name]) / 2 for name in first}


def test_commands_take_another_predictor(trained_folder: Path, tmp_path: Path) -> None:
    potential = pyg_nnp.load_potential(MODEL)
    # both are the same: so must the mean be
    ensemble: Predictor = Mean((potential, potential), potential.domain, potential.reach)
    of_one, of_both = (evaluate_file(one, Path("dataset.pkl"), {}, {}, "test") for one in (potential, ensemble))
    assert of_both == of_one
    water(0).write(tmp_path / "water.xyz")
    found = []
    for name, predictor in (("one", potential), ("both", ensemble)):
        assert predict_file(predictor, tmp_path / "water.xyz", tmp_path / f"{name}.npz") == 1
        found.append(dict(np.load(tmp_path / f"{name}.npz")))
    assert {"E", "Fa"} < found[0].keys()
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_array_equal(found[1][name], values)


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_predictions_are_those_of_single_calls(molecules: list[Data], cuda_graphs: bool) -> None:
    potential = make_potential().eval()
    batches = [Batch.from_data_list(molecules[:3]), Batch.from_data_list(molecules[3:])]
    drawn = 0

    def source() -> Iterator[Data]:
        nonlocal drawn
        for batch in batches:
            drawn += 1
            yield batch

    for number, (batch, predicted) in enumerate(predictions(potential, source(), cuda_graphs=cuda_graphs)):
        # one at a time: memory holds no more
        assert drawn == number + 1
        assert torch.equal(batch.Za, batches[number].Za)
        for name, value in potential(batches[number]).items():
            assert torch.equal(predicted[name], value)
    assert drawn == 2


def test_large_batches_have_as_many_atoms_as_are_evaluated_at_once() -> None:
    assert large_batch(5) == 8192 // 5
    assert large_batch(5, 2000) == 2000
    assert large_batch(10_000) == 1
