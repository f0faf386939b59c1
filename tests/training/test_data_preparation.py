"""What a potential has before its first step."""

import pickle
from pathlib import Path

import pytest
import torch
from toy import ATOM_ENERGIES, toy_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.build import build_potential
from pyg_nnp.training.data_preparation import read_data
from pyg_nnp.training.references_and_domain import prepare_potential


@pytest.mark.parametrize("atomic_energy", ["fit", "atomic_energy.csv"])
@pytest.mark.parametrize("is_used", [True, False])
def test_energies_of_charges_begin_with_a_fit(folder: Path, atomic_energy: str, is_used: bool) -> None:
    """Where the total energy has them; the reference energies of atoms are those of the neutral molecules."""
    frames = write_toy(folder, names=("H2O", "CH4"))
    for number, frame in enumerate(frames):
        Q = (0, 0, 1, -1)[number // 2 % 4]
        composition = sum(ATOM_ENERGIES[Z] for Z in frame["atomic_numbers"].tolist())
        frame |= {"total_charge": Q, "energy": composition + {0: 0.0, 1: 0.3, -1: 0.05}[Q]}
    (folder / "dataset.pkl").write_bytes(pickle.dumps(frames))
    config = toy_config(Datahub__transforms__atomic_energy=atomic_energy)
    layers = config["Modelhub"]["FF01"]["layers"]
    layers.insert(3, {"name": "ChargeEmbedding"})
    if not is_used:
        next(entry for entry in layers if entry["name"] == "EnergyReduce")["params"] = {"terms": ["Ea"]}
    checked = config_from_dict(config)
    potential = build_potential(checked, "FF01")
    data = read_data(checked, folder / "out", {"FF01": potential})
    prepare_potential(potential, checked, "FF01", data)
    energies = potential.layers[4].energies.tolist()
    assert energies == pytest.approx([0.3, -0.05] if is_used else [0, 0], abs=1e-6)
    water = potential.atomic_energies[torch.tensor([8, 1, 1])].sum().item()
    if is_used or atomic_energy != "fit":
        assert water == pytest.approx(-76.0, abs=1e-6)
    assert potential.domain.blind_to_charge == ()
