"""Many alanine dipeptides at once in TorchSim: python torchsim_many.py FF01-Cartesian."""

import argparse
from pathlib import Path

import ase.io
import torch_sim as ts

import pyg_nnp

STRUCTURE = Path(__file__).parents[1] / "alanine_dipeptide" / "alanine_dipeptide.xyz"
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("--relax", type=int, default=100, help="distorted structures that are relaxed")
parser.add_argument("--copies", type=int, default=64, help="copies that move at 300 K")
parser.add_argument("--steps", type=int, default=1000)
arguments = parser.parse_args()

model = pyg_nnp.torchsim.PygNnpModel(arguments.model)
structures = [ase.io.read(STRUCTURE) for _ in range(max(arguments.relax, arguments.copies))]
for number, atoms in enumerate(structures):
    atoms.rattle(0.05, seed=number)

is_converged = ts.generate_force_convergence_fn(0.02, include_cell_forces=False)
relaxed = ts.optimize(
    structures[: arguments.relax], model, optimizer=ts.optimizers.fire, convergence_fn=is_converged, max_steps=500
)
print(f"minima of {arguments.relax}: {relaxed.energy.min():.4f} to {relaxed.energy.max():.4f} eV")
moved = ts.integrate(
    structures[: arguments.copies], model, integrator=ts.nvt_langevin,
    n_steps=arguments.steps, temperature=300, timestep=0.0005,
)  # fmt: skip
print(f"mean potential energy of {arguments.copies} copies: {moved.energy.mean():.4f} eV")
