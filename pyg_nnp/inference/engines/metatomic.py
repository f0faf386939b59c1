"""A model for the engines that read those of metatomic (pip install metatomic-torch): ``pyg-nnp export``."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict, List, Optional  # noqa: UP035, TorchScript has these
from unittest.mock import patch

import torch
from torch import Tensor, nn

from pyg_nnp.data.total_charge import given_charge
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.neighbor_search import MARGIN
from pyg_nnp.inference.engines.recording import record
from pyg_nnp.inference.engines.torchscript import AtomicProperties
from pyg_nnp.inference.engines.torchscript_warnings import PropertiesWithWarnings
from pyg_nnp.inference.extrapolation import unknown_charges
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import write_durably

# metatensor compiles functions when it is imported, and PyG has put one in here that TorchScript does not understand
with patch.object(torch, "index_select", torch._C._VariableFunctions.index_select):
    from metatensor.torch import Labels, TensorBlock, TensorMap
    from metatomic.torch import (
        AtomisticModel,
        ModelCapabilities,
        ModelMetadata,
        ModelOutput,
        NeighborListOptions,
        System,
    )


def export(potential: Potential, path: Path, *, charge: float = 0.0, name: str = "pyg_nnp") -> None:
    """Write a potential as a model of metatomic, for CPUs, in plain torch with frozen filter tables.

    Outputs are ``energy`` [eV], in all and of atoms, and, where the potential predicts them, ``charge`` [e] of atoms;
    engines derive forces and stress. Positions and energies are float64 whatever the precision of the potential.

    Args:
        potential: in its units, which the model converts.
        path: of the file.
        charge: total charge of each system [e].
        name: of the model.

    Raises:
        DataError: a layer cannot be exported, the units are not known, or the charge is no number.
        OSError: the file cannot be written.
    """
    charge, units = given_charge(charge), potential.units
    if warning := unknown_charges(potential.domain, {charge}):
        warnings.warn(warning, stacklevel=2)
    properties = AtomicProperties(potential)
    elements = list(potential.domain.elements) or list(range(1, 119))
    model = _Model(
        PropertiesWithWarnings(record(properties, elements[:4]), potential.domain, units.length),
        torch.tensor([charge], dtype=properties.dtype),
        NeighborListOptions((1 + MARGIN) * properties.reach * units.length, full_list=True, strict=False),
        properties.in_cells,
        units.length,
        units.in_ase(FIELDS["E"].unit),
    )
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom", description="total, or of atoms")}
    if properties.has_charges:
        outputs["charge"] = ModelOutput(unit="e", sample_kind="atom", description="atomic charges")
    capabilities = ModelCapabilities(
        outputs=outputs,
        atomic_types=elements,
        interaction_range=properties.interaction_range * units.length,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    text = f"A potential of pyg_nnp, in {str(properties.dtype)[6:]}, for systems of total charge {charge:g}."
    with TemporaryDirectory() as folder:  # PyTorch itself would abort where the disk is full
        AtomisticModel(model.eval(), ModelMetadata(name, text), capabilities).save(file := Path(folder, "model.pt"))
        write_durably(path, [file.read_bytes()])


class _Model(nn.Module):
    """What engines call. Each system is evaluated by itself.

    Args:
        properties: energies and charges of the atoms of a system, as TorchScript.
        Q: (1,) total charge [charge].
        neighbors: the list of pairs to ask for.
        in_cells: whether systems may be periodic.
        length, energy: units of the potential [Å], [eV].
    """

    def __init__(
        self, properties: nn.Module, Q: Tensor, neighbors: NeighborListOptions, in_cells: bool,
        length: float, energy: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.properties, self.neighbors, self.in_cells = properties, neighbors, in_cells
        self.length, self.energy, self.Q = length, energy, nn.Buffer(Q)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:  # noqa: UP006
        """Return the list of pairs that each system must have."""
        return [self.neighbors]

    def forward(
        self,
        systems: List[System],  # noqa: UP006
        outputs: Dict[str, ModelOutput],  # noqa: UP006
        selected_atoms: Optional[Labels] = None,  # noqa: UP045
    ) -> Dict[str, TensorMap]:  # noqa: UP006
        """Return the outputs, of all atoms or of some; an error where they are no numbers."""
        samples, energies, charges = [], [], []
        for number, system in enumerate(systems):
            if not self.in_cells and bool(system.pbc.any()):
                raise ValueError("the cell is periodic, but a layer of this potential is exported for molecules alone")
            of_energy, of_charge = self.of_system(system)
            atoms = torch.arange(len(system), device=of_energy.device)  # (A,)
            if selected_atoms is not None:
                chosen = selected_atoms.column("system") == number
                atoms = selected_atoms.column("atom")[chosen].to(atoms.dtype)
            samples.append(torch.stack([torch.full_like(atoms, number), atoms], dim=1))  # (A, 2)
            energies.append(of_energy.index_select(0, atoms))
            charges.append(of_charge.index_select(0, atoms))
        sample, energy = torch.cat(samples), torch.cat(energies)  # (A, 2), (A,)
        results: Dict[str, TensorMap] = {}  # noqa: UP006
        if "energy" in outputs:
            if outputs["energy"].sample_kind == "atom":
                results["energy"] = self.block("energy", energy, sample)
            else:
                totals = energy.new_zeros([len(systems)]).index_add(0, sample[:, 0], energy)  # (G,)
                results["energy"] = self.block("energy", totals, torch.arange(len(systems))[:, None])  # (G, 1)
        if "charge" in outputs:
            results["charge"] = self.block("charge", torch.cat(charges), sample)
        return results

    def of_system(self, system: System) -> tuple[Tensor, Tensor]:
        """Return (A,) energies [eV] and (A,) charges [e] of the atoms."""
        pairs = system.get_neighbor_list(self.neighbors).samples.values.long()  # (E, 5), i, j, translation
        edge_index = torch.stack([pairs[:, 1], pairs[:, 0]])  # (2, E)
        Ra, cell, T = system.positions / self.length, system.cell[None] / self.length, pairs[:, 2:]  # T (E, 3)
        energies, charges = self.properties(Ra, system.types.long(), self.Q, edge_index, cell, T)
        if not bool(energies.isfinite().all()):
            raise ValueError("the energy is no number. Are two atoms at the same place?")
        return energies * self.energy, charges.to(energies.dtype)

    def block(self, name: str, values: Tensor, samples: Tensor) -> TensorMap:
        """Return (n,) values of samples (n, 1) or (n, 2), each a system, or a system and an atom."""
        names = ["system", "atom"] if samples.shape[1] == 2 else ["system"]
        one = torch.zeros(1, 1, dtype=torch.int32, device=values.device)
        block = TensorBlock(values[:, None], Labels(names, samples.int()), [], Labels([name], one))
        return TensorMap(Labels(["_"], one), [block])
