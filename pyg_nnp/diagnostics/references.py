"""Whether the reference energies of a CSV file can be those of the data."""

import torch
from torch_geometric.data import Batch

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import DataError


def check_references(config: Config, dataset: MoleculeDataset, sample: Batch) -> tuple[Finding, ...]:
    """Compare what remains of the energies without the reference energies with the energies themselves.

    Args:
        config: the configuration.
        dataset: the data set.
        sample: some frames of it.

    Returns:
        An error if more remains than there was, a warning if nearly all does.
    """
    if not dataset.atomic_energies or "E" not in dataset.fields:
        return ()
    table = torch.zeros(1 + max(dataset.atomic_energies), dtype=torch.float64)
    for element, energy in dataset.atomic_energies.items():
        table[element] = energy
    total = float(sample.E.mean())
    rest = total - float(table[sample.Za].sum()) / len(sample.E)
    file, numbers = config.Datahub.transforms.atomic_energy, {"mean energy": total, "mean rest": rest}
    # with some pseudopotentials little remains of atoms, but never more than the total
    if abs(rest) > 1.5 * abs(total):
        text = f"{file}: the energies of the data are {total:.6g} on average, without these atomic energies {rest:.6g}."
        advice = (
            f"Give the atomic energies in the unit and with the sign of '{dataset.sources['E']}', from the same method."
        )
        return (Finding("reference energies", "E", text, advice, numbers=numbers, error=DataError),)
    if abs(rest) > 0.9 * abs(total):
        text = f"{file}: these atomic energies are hardly a part of E ({total - rest:.6g} of {total:.6g})."
        return (Finding("reference energies", "E", text, "Is it the same unit?", numbers=numbers),)
    return ()
