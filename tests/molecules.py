"""Small molecules and potentials that many tests share."""

from collections.abc import Sequence

import numpy as np
import torch
from ase.build import molecule as ase_molecule
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_nnp.data.neighbor_lists import full_neighbor_list
from pyg_nnp.layers import Core
from pyg_nnp.potential.build import build_layers
from pyg_nnp.potential.potential import Potential

BUILD_PARAMS = {
    "dim_embedding": 16,
    "num_rbf": 12,
    "max_Za": 94,
    "cutoff_sr": 4.0,
    "Hartree_in_E": 1.0,
    "Bohr_in_R": 0.5291772108,
}
CORE = ("Core", {"num_interactions": 2, "hidden_channels": 20})
LAYER_ENTRIES = [
    ("RangeSeparation", {}),
    ("GaussianSmearing", {}),
    ("RandomAtomEmbedding", {}),
    CORE,
    ("AtomicAffine", {}),
    ("ChargeConservation", {}),
    ("AtomicCharge2Dipole", {}),
    ("ElectrostaticEnergy", {}),
    ("EnergyReduce", {}),
    ("Force", {}),
]


def make_data(
    numbers: Sequence[int], positions: np.ndarray, charge: float = 0.0, dtype: torch.dtype = torch.float64
) -> Data:
    """Return a molecule as the data set does, without labels."""
    n = len(numbers)
    return Data(
        Ra=torch.tensor(np.asarray(positions), dtype=dtype),
        Za=torch.tensor(numbers),
        N=torch.tensor([n]),
        Q=torch.tensor([charge], dtype=dtype),
        edge_index=full_neighbor_list(n),
        num_nodes=n,
    )


def some_molecules(dtype: torch.dtype = torch.float64) -> list[Data]:
    """Return molecules of different sizes and charges: two lone atoms, one of them last, a dissociated one."""
    rng = np.random.default_rng(7)
    names = ["CH3CH2OH", "Si", "H2O", "CH3COOH", "C6H6", "Na"]
    charges = [0.0, 0.0, -1.0, 1.0, 0.0, 1.0]
    molecules = []
    for name, charge in zip(names, charges, strict=True):
        atoms = ase_molecule(name)
        positions = atoms.positions + rng.normal(scale=0.05, size=(len(atoms), 3)) + [0.3, -1.2, 0.8]
        molecules.append(make_data(atoms.numbers.tolist(), positions, charge, dtype))
    far_apart = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 1.0, 9.0]])
    return [*molecules[:3], make_data([8, 1, 1], far_apart, 0.0, dtype), *molecules[3:]]


def make_potential(
    entries: Sequence[tuple[str, dict]] = LAYER_ENTRIES,
    architecture: str = "SchNet",
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    **build_params: float,
) -> Potential:
    """Return a small potential with random parameters."""
    generator = torch.Generator().manual_seed(seed)
    if architecture == "PaiNN":  # its filters have no hidden layer
        entries = [(name, {k: value for k, value in own.items() if k != "hidden_channels"}) for name, own in entries]
    layers, built = build_layers(architecture, {**BUILD_PARAMS, **build_params}, entries, generator)
    potential = Potential(layers, {"architecture": architecture, "layers": built}).to(dtype)
    with torch.no_grad():
        for parameter in potential.parameters():  # no zeros or ones, which would hide mistakes
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    return potential


def with_options(layer: str, **options: object) -> list[tuple[str, dict]]:
    """Return the usual layers with options for one of them."""
    return [(name, {**own, **options} if name == layer else own) for name, own in LAYER_ENTRIES]


def core_of(potential: Potential) -> Core:
    return next(layer for layer in potential.layers if isinstance(layer, Core))


def core_arguments(potential: Potential, batch: Batch) -> dict[str, Tensor]:
    """Return what the core reads, with all fields as tensors."""
    fields = potential.inputs_of(batch)
    for layer in potential.layers:
        if isinstance(layer, Core):
            return {name: fields[name] for name in layer.reads}
        fields |= layer(**{name: fields[name] for name in layer.reads})
    raise AssertionError("there is no core")


def results(potential: Potential, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return predictions, and the gradient of a loss on all of them with respect to each parameter."""
    predicted = potential.train()(batch)
    loss = sum((value.double() ** 2).sum() for value in predicted.values())
    potential.zero_grad()
    loss.backward(inputs=list(potential.parameters()))
    gradients = {name: parameter.grad.clone() for name, parameter in potential.named_parameters()}
    return {name: value.detach() for name, value in predicted.items()}, gradients


def deviation(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())
