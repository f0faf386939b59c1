"""Data sets that take no quantum chemistry: atoms with Morse bonds and fixed charges."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ase.build import molecule

ATOM_ENERGIES = {1: -0.5, 6: -37.8, 8: -75.0}
CHARGES = {1: 0.2, 6: 0.1, 8: -0.5}


def frame(name: str, rng: np.random.Generator, scale: float = 0.08) -> dict[str, Any]:
    """Return a distorted molecule with energy [Hartree], gradients [Hartree/Å], charges [e], dipole [e Å]."""
    atoms = molecule(name)
    numbers = atoms.numbers
    R = torch.tensor(atoms.positions + rng.normal(scale=scale, size=(len(atoms), 3)), requires_grad=True)
    r = torch.pdist(R)
    energy = (0.2 * (1 - torch.exp(-1.5 * (r - 1.1))) ** 2 - 0.2).sum() + sum(ATOM_ENERGIES[z] for z in numbers)
    (gradient,) = torch.autograd.grad(energy, R)
    q = np.array([CHARGES[z] for z in numbers])
    q -= q.mean()
    return {
        "number_of_atoms": len(numbers),
        "coordinates": R.detach().numpy(),
        "atomic_numbers": numbers,
        "total_charge": 0,
        "energy": energy.item(),
        "forces": gradient.numpy(),
        "atomic_charges": q,
        "dipole": q @ R.detach().numpy(),
    }


def write_toy(folder: Path, frames: int = 24, names: tuple[str, ...] = ("H2O",), seed: int = 0) -> list[dict[str, Any]]:
    """Write ``dataset.pkl`` and ``atomic_energy.csv`` as the specification has them."""
    rng = np.random.default_rng(seed)
    data = [frame(names[i % len(names)], rng) for i in range(frames)]
    with (folder / "dataset.pkl").open("wb") as file:
        pickle.dump(data, file)
    (folder / "atomic_energy.csv").write_text(
        "atom_type,atomic_energy\nH,-0.5\nC,-37.8\nO,-75.0\n",
    )
    return data


TOY_CONFIG = """
Datahub:
  data_path: dataset.pkl
  data_format: pickle
  features: {N: number_of_atoms, Ra: coordinates, Za: atomic_numbers, Q: total_charge}
  targets: {E: energy, Fa: forces, Qa: atomic_charges, M2: dipole}
  transforms: {atomic_energy: atomic_energy.csv, negative_gradient: true}
Modelhub:
  FF01:
    architecture: SchNet
    build_params: {dim_embedding: 12, num_rbf: 10, max_Za: 10, cutoff_sr: 4.0, Hartree_in_E: 1, Bohr_in_R: 0.5291772}
    layers:
      - name: RangeSeparation
      - name: GaussianSmearing
      - name: RandomAtomEmbedding
      - name: Core
        params: {num_interactions: 1, hidden_channels: 8}
      - name: AtomicAffine
      - name: ChargeConservation
      - name: AtomicCharge2Dipole
      - name: ElectrostaticEnergy
      - name: EnergyReduce
      - name: Force
    loss:
      rmse: {E: 1, Fa: 1, Qa: 1, M2: 1, Q: 1}
Trainer:
  Splitter: {parts: [training, validation, test], ratios: [0.5, 0.25, 0.25]}
  batch_size: 5
  max_epochs: 3
  learning_rate: 1e-2
  report: false
Metrics:
  rmse: {E: 1, Fa: 1, Qa: 1, M2: 1, Q: 1}
"""


def toy_config(**changes: Any) -> dict[str, Any]:
    """Return the configuration as a nested dict; ``Trainer__batch_size=3`` changes one value, None removes nothing."""
    document = yaml.safe_load(TOY_CONFIG.replace("1e-2", "0.01"))
    for path, value in changes.items():
        *sections, key = path.split("__")
        place = document
        for section in sections:
            place = place[section]
        place[key] = value
    if changes.get("Modelhub__FF01__architecture") == "PaiNN":  # its filters have no hidden layer
        core = next(layer for layer in document["Modelhub"]["FF01"]["layers"] if layer["name"] == "Core")
        core["params"] = {"num_interactions": 2}
    return document


def write_config(folder: Path, document: dict[str, Any] | str = TOY_CONFIG) -> Path:
    """Write ``train.yaml``."""
    path = folder / "train.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path
