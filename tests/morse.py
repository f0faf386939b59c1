"""A potential whose minima, barriers and vibrations are known: a Morse bond between any two atoms."""

from pathlib import Path

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.layers.base import Core, Fields
from pyg_nnp.layers.geometry import Distance
from pyg_nnp.potential.build import build_layers
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.potential.potential import Potential

D, A, R0 = 0.2, 1.5, 1.1  # Hartree, 1/Å, Å


class Morse(Core):
    reads = ("pair_index", "Dij", "Za")
    writes = ("Ea_morse",)
    energy_terms = ("Ea_morse",)
    prepends = (Distance,)
    reach = 8.0

    def forward(self, pair_index: Tensor, Dij: Tensor, Za: Tensor) -> Fields:
        energies = D * (1 - torch.exp(-A * (Dij - R0))) ** 2 - D
        return {"Ea_morse": sum_over_atoms(energies, pair_index[0], len(Za))}


class HardAtoms(Morse):
    """Lennard-Jones's energy, which ends smoothly, so that a crystal does not collapse."""

    reach = 4.5  # Å

    def forward(self, pair_index: Tensor, Dij: Tensor, Za: Tensor) -> Fields:
        sixth = (2.2 / Dij) ** 6
        energies = 0.01 * (sixth**2 - sixth) * (1 - (Dij / self.reach) ** 2).clamp_min(0) ** 3  # Hartree
        return {"Ea_morse": sum_over_atoms(energies, pair_index[0], len(Za))}


def write_morse(folder: Path, core: str = "Morse", *more: str) -> None:
    """Write ``best.safetensors``; whoever loads it has imported this module."""
    entries = [(name, {}) for name in ("Core", "EnergyReduce", "Force", *more)]
    layers, built = build_layers(f"morse:{core}", {}, entries)
    units = {"Hartree_in_E": 1.0, "Bohr_in_R": 0.5291772108}
    folder.mkdir()
    save_potential(
        Potential(layers, {"architecture": f"morse:{core}", "layers": built, "build_params": units}),
        folder / "best.safetensors",
        {},
    )
