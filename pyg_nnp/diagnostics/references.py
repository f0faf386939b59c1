"""Whether reference energies from a file go with the energies of the data."""

from typing import TYPE_CHECKING

import numpy as np

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.diagnostics.outliers import BONDS
from pyg_nnp.errors import DataError
from pyg_nnp.units import HARTREE_IN_EV

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def check_references(config: Config, dataset: "MoleculeDataset") -> list[Finding]:
    """Compare what remains of the energies without the reference energies with the energies themselves."""
    if not dataset.atomic_energies or "E" not in dataset.fields:
        return []
    summary = dataset.summary
    references = np.array([dataset.atomic_energies.get(Z, 0.0) for Z in dataset.elements])
    total, rest = float(np.nanmean(summary.E)), float(np.nanmean(summary.E - summary.counts @ references))
    file, numbers = config.Datahub.transforms.atomic_energy, {"mean energy": total, "mean rest": rest}
    per_atom = rest / float(summary.sizes[np.isfinite(summary.E)].mean())
    hartree = config.units.hartree or np.nan
    is_of_bonds = abs(per_atom) / hartree * HARTREE_IN_EV <= BONDS
    # with some pseudopotentials little remains of atoms, but never more than the total, if that is not one of formation
    if abs(rest) > 1.5 * abs(total) and not is_of_bonds:
        text = f"{file}: the energies of the data are {total:.6g} on average, without these atomic energies {rest:.6g}."
        same = f"in the unit and with the sign of '{dataset.sources['E']}', from the same method"
        advice, error = f"Give the atomic energies {same}.", DataError
        return [Finding("reference energies", "E", text, advice, numbers=numbers, error=error)]
    if 0.9 * abs(total) < abs(rest) <= 1.5 * abs(total):
        text = f"{file}: these atomic energies are hardly a part of E ({total - rest:.6g} of {total:.6g})."
        return [Finding("reference energies", "E", text, "Is it the same unit?", numbers=numbers)]
    if config.units.hartree and not is_of_bonds:
        text = f"{file}: {per_atom:.6g} of E remain for each atom without these atomic energies; bonds are worth less."
        advice = "Are they of the same method, and is one of them 0?"
        return [Finding("reference energies", "E", text, advice, numbers=numbers)]
    return []
