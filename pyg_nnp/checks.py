"""Whether data, split and model fit each other: asked once, before training."""

import math
from collections.abc import Mapping

import torch
from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.geometry import pair_distances
from pyg_nnp.model import Potential
from pyg_nnp.units import BOHR_IN_ANGSTROM

_SAMPLE = 200
# shortest distance of a hydrogen atom to any other: 0.74 Å in H2, 0.9 to 1.2 Å in nearly all else
_HYDROGEN_BOND = (0.6, 1.5)  # Å
# shortest distance in molecules without hydrogen: from 1.0 to 1.6 Å, up to 3.5 Å for heavy or noble elements
_ANY_BOND = (0.6, 4.5)  # Å
# root mean square of forces in sets of molecules far from their minima: below 0.2
_LARGEST_FORCE = 0.5  # Hartree/Bohr


def check_batch_size(config: Config, parts: Mapping[str, Tensor]) -> None:
    """Refuse a batch larger than the training part.

    Raises:
        ConfigError: it is.
    """
    frames = len(parts["training"])
    if config.Trainer.batch_size > frames:
        raise ConfigError(
            f"{config.source}: Trainer.batch_size: {config.Trainer.batch_size} is more than the {frames} frames of the "
            f"training part. Choose at most {frames}."
        )


def check_elements(config: Config, name: str, potential: Potential, dataset: MoleculeDataset) -> None:
    """Refuse elements beyond a model's ``max_Za``.

    Raises:
        ConfigError: there are some.
    """
    limits = [entry["params"]["max_Za"] for entry in potential.spec["layers"] if "max_Za" in entry["params"]]
    largest = max(dataset.elements)
    if limits and largest > min(limits):
        raise ConfigError(
            f"{config.source}: Modelhub.{name}.build_params.max_Za: {min(limits)}, but the data has "
            f"{chemical_symbols[largest]}. Set it to at least {largest}."
        )


def check_units(config: Config, name: str, dataset: MoleculeDataset) -> None:
    """Refuse ``Bohr_in_R`` and ``Hartree_in_E`` where the data cannot be in those units.

    Raises:
        ConfigError: bonds would have an impossible length, or forces would be impossibly large.
    """
    units = config.Modelhub.internal_FFs[name].build_params
    place = f"{config.source}: Modelhub.{name}.build_params"
    bohr, hartree = units.get("Bohr_in_R"), units.get("Hartree_in_E")
    if bohr is None:
        return
    sample = dataset.batch(torch.linspace(0, len(dataset) - 1, min(_SAMPLE, len(dataset))).long())
    shortest, (low, high), what = _shortest_distance(sample.Ra.double(), sample.Za, sample.edge_index)
    if not low < shortest / bohr * BOHR_IN_ANGSTROM < high:
        raise ConfigError(
            f"{place}.Bohr_in_R: {bohr} cannot be: the shortest distances of {what} are around {shortest:.3g} in the "
            f"unit of the data, which would be {shortest / bohr * BOHR_IN_ANGSTROM:.3g} Å. "
            f"One Bohr is {BOHR_IN_ANGSTROM} in Å, 1 in Bohr."
        )
    if hartree is None or "Fa" not in dataset.fields:
        return
    rms = float(sample.Fa.double().square().mean().sqrt())
    if rms * bohr / hartree > _LARGEST_FORCE:
        raise ConfigError(
            f"{place}.Hartree_in_E: {hartree} cannot be: the forces of the data have a root mean square of {rms:.3g}, "
            f"which would be {rms * bohr / hartree:.3g} Hartree/Bohr. "
            "One Hartree is 1 in Hartree, 27.2114 in eV, 627.509 in kcal/mol, 2625.5 in kJ/mol."
        )


def _shortest_distance(Ra: Tensor, Za: Tensor, edge_index: Tensor) -> tuple[float, tuple[float, float], str]:
    """Return the median of the atoms' shortest distances, the range where it must lie in Å, and of what it is."""
    hydrogen = Za[edge_index[1]] == 1
    if hydrogen.any():
        edge_index, bounds, what = edge_index[:, hydrogen], _HYDROGEN_BOND, "hydrogen atoms"
    else:
        bounds, what = _ANY_BOND, "atoms"
    shortest = Ra.new_full((len(Ra),), math.inf)
    shortest = shortest.scatter_reduce(0, edge_index[1], pair_distances(Ra, edge_index), "amin")
    finite = shortest[shortest.isfinite()]
    # lone atoms alone say nothing about the unit
    return (float(finite.median()), bounds, what) if len(finite) else (1.0, (0.0, math.inf), what)
