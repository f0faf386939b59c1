"""Whether a model fits the data: its units, its elements, its cutoff, and the features that it reads."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from ase.data import chemical_symbols
from torch_geometric.data import Batch

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.diagnostics.prediction import check_unread_features
from pyg_nnp.diagnostics.sample import frames_with, small_sample
from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.bonds import bonds_of_hydrogen
from pyg_nnp.functional.geometry import edge_distances, edges_within_cells
from pyg_nnp.potential.potential import Potential
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES, LENGTHS, unit_of_total_energies

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

# bonds of hydrogen to C, N and O are from 0.95 to 1.2 Å long; those to other elements say little about the unit
_SHORT, _LONG = 0.7, 1.5  # Å
_SHORT_CUTOFF = 3.5  # Å
# root mean square of forces in sets of molecules far from their minima: below 0.2
_LARGEST_FORCE = 0.5  # Hartree/Bohr
# of molecules at 300 K around 0.02; less only where all frames are near their minima, and in soft crystals
_SMALL_FORCE = 0.003  # Hartree/Bohr
# no two units of energy are nearer
_SAME_UNIT = 0.01


def check_models(
    config: Config, potentials: Mapping[str, Potential], dataset: "MoleculeDataset", sample: Batch
) -> Iterator[Finding]:
    """Yield what does not fit in models with right units of length; nothing is checked after what is not yet taken.

    Args:
        config: the configuration.
        potentials: name -> potential, of the models.
        dataset: the data set.
        sample: some of its frames.
    """
    labelled = frames_with(dataset.summary, [name for name in ("Fa", "E") if name in dataset.fields][:1])
    of_labels = small_sample(dataset, labelled) if len(labelled) else None
    for name, potential in potentials.items():
        yield from check_largest_element(config, name, potential, int(dataset.summary.elements.max()))
        yield from check_energy_unit(config, name, of_labels) if of_labels is not None else []
        yield from check_cutoff(config, name, potential, sample)
        yield from check_unread_features(config, name, potential, dataset)


def check_length_unit(config: Config, name: str, sample: Batch) -> list[Finding]:
    """Compare bonds of hydrogen with the ``Bohr_in_R`` of model ``name``.

    Where it is not given, positions that are in Bohr have a warning if the cutoff is short for that.
    """
    model, place = config.Modelhub.internal_FFs[name], _place(config, name)
    bohr, cutoff = model.units.bohr, model.build_params.get("cutoff_sr")
    _, lengths = bonds_of_hydrogen(sample.Ra.double(), sample.Za, edges_within_cells(sample))
    if len(lengths) <= 0.1 * int((sample.Za == 1).sum()):
        return []
    bond = float(lengths.median())
    numbers, around = {"bond of hydrogen": bond}, f"bonds of hydrogen to C, N and O are around {bond:.3g}"
    if bohr is None:
        in_angstrom = (cutoff or torch.inf) * BOHR_IN_ANGSTROM
        if in_angstrom >= _SHORT_CUTOFF or not _LONG < bond < _LONG / BOHR_IN_ANGSTROM:
            return []
        text = (
            f"{place}.cutoff_sr: the positions look like Bohr: {around}. {cutoff:g} is then only {in_angstrom:.2g} Å."
        )
        advice = "Give cutoff_sr in Bohr, or positions in Å."
        return [Finding("short cutoff", "Ra", text, advice, numbers=numbers)]
    if _SHORT < bond / bohr * BOHR_IN_ANGSTROM < _LONG:
        return []
    likely = [(value, unit) for value, unit in LENGTHS.items() if _SHORT < bond / value * BOHR_IN_ANGSTROM < _LONG]
    advice = "".join(f"The positions look like {unit}: set it to {value:.9g}. " for value, unit in likely[:1])
    advice += f"One Bohr is {BOHR_IN_ANGSTROM} in Å, 1 in Bohr; cutoffs are in that unit, too."
    text = (
        f"{place}.Bohr_in_R: {bohr} cannot be: {around} in the unit of the data, which would be "
        f"{bond / bohr * BOHR_IN_ANGSTROM:.3g} Å."
    )
    return [Finding("unit of positions", "Ra", text, advice, numbers=numbers, error=ConfigError)]


def check_energy_unit(config: Config, name: str, sample: Batch) -> list[Finding]:
    """Compare the size of forces with the ``Hartree_in_E`` of model ``name``; without forces, that of total energies.

    Returns:
        An error if forces are impossibly large, a warning if those of molecules are small or energies in another unit.
    """
    units, place = config.Modelhub.internal_FFs[name].units, f"{_place(config, name)}.Hartree_in_E"
    bohr, hartree = units.bohr, units.hartree
    if hartree is None:
        return []
    if "Fa" not in sample:
        return _unit_of_energies(place, hartree, sample) if "E" in sample else []
    if bohr is None:
        return []
    rms = float(sample.Fa.double().square().mean().sqrt())
    size = rms * bohr / hartree
    numbers = {"force in Hartree/Bohr": size}
    if size > _LARGEST_FORCE:
        text = (
            f"{place}: {hartree} cannot be: the forces of the data have a root mean square of {rms:.3g}, which would "
            f"be {size:.3g} Hartree/Bohr."
        )
        advice = "One Hartree is 1 in Hartree, 27.2113862 in eV, 627.509474 in kcal/mol, 2625.49964 in kJ/mol."
        return [Finding("unit of forces", "Fa", text, advice, numbers=numbers, error=ConfigError)]
    is_periodic = "pbc" in sample and bool(sample.pbc.any())
    if 0 < size < _SMALL_FORCE and not is_periodic:
        text = f"{place}: with {hartree:g} the forces of the data are small, {size:.3g} Hartree/Bohr."
        return [Finding("unit of forces", "Fa", text, "Is that their unit?", numbers=numbers)]
    return []


def _unit_of_energies(place: str, hartree: float, sample: Batch) -> list[Finding]:
    mean = float(sample.E.mean())
    found = unit_of_total_energies(mean, sample.Za.numpy(), sample.num_graphs)
    if found is None or abs(found / hartree - 1) <= _SAME_UNIT:
        return []
    text = (
        f"{place}: {hartree:g} does not go with the energies, which look like {ENERGIES[found]}: their mean, "
        f"{mean:.6g}, is what total energies of these molecules are in that unit."
    )
    return [Finding("unit of energies", "E", text, f"Set it to {found:.9g}.", numbers={"mean energy": mean})]


def check_largest_element(config: Config, name: str, potential: Potential, largest: int) -> list[Finding]:
    """Return an error if the largest atomic number of the data is beyond a model's ``max_Za``."""
    limits = [entry["params"]["max_Za"] for entry in potential.spec["layers"] if "max_Za" in entry["params"]]
    if not limits or largest <= min(limits):
        return []
    text = f"{_place(config, name)}.max_Za: {min(limits)}, but the data has {chemical_symbols[largest]}."
    return [Finding("largest element", "Za", text, f"Set it to at least {largest}.", error=ConfigError)]


def check_cutoff(config: Config, name: str, potential: Potential, sample: Batch) -> list[Finding]:
    """Return an error if nine of ten atoms have no other within ``cutoff_sr``, although they are not alone."""
    distances, i = edge_distances(sample), sample.edge_index[1]
    nearest = distances.new_full((len(sample.Za),), torch.inf)
    nearest = nearest.scatter_reduce(0, i, distances, "amin")
    nearest = nearest[nearest.isfinite()]
    for cutoff in {getattr(layer, "cutoff_sr", math.inf) for layer in potential.layers}:
        if len(nearest) and float(nearest.quantile(0.1)) >= cutoff:
            shortest = float(nearest.min())
            text = (
                f"{_place(config, name)}.cutoff_sr: nine of ten atoms have no other within {cutoff}; the shortest "
                f"distance is {shortest:.3g} in the unit of the data."
            )
            advice, numbers = "Choose it larger, commonly 5 Å.", {"shortest distance": shortest}
            return [Finding("short cutoff", "Ra", text, advice, numbers=numbers, error=ConfigError)]
    return []


def _place(config: Config, name: str) -> str:
    return f"{config.source}: Modelhub.{name}.build_params"
