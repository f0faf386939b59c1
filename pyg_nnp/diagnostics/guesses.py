"""Units and weights of a loss, guessed from some frames of a data file and from names of its arrays."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pyg_nnp.config.template import one_line
from pyg_nnp.data.formats.stated_units import StatedUnits
from pyg_nnp.data.source import Block
from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.diagnostics.force_units import HARTREE_IN, NEAR, energy_unit, stiffness_of_bonds
from pyg_nnp.fields import FIELDS, Kind
from pyg_nnp.functional.bonds import bonds_of_hydrogen
from pyg_nnp.functional.composition import element_counts
from pyg_nnp.functional.neighbor_search import find_edges
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES, LENGTHS, unit_of_total_energies

# words in the name of an array that tell its unit
_OF_ENERGY = {"hartree": "Hartree", "ha": "Hartree", "ev": "eV", "kcal": "kcal/mol", "kj": "kJ/mol"}
_OF_LENGTH = {"angstrom": "Å", "ang": "Å", "bohr": "Bohr", "nm": "nm"}
_ATOMS_TO_LOOK_AT = 2000
_HYDROGEN_BOND = 1.08  # Å, to C, N and O
_SAME_UNIT = 0.01  # no two units of energy are nearer


def likely_length(block: Block, source: str, stated: StatedUnits) -> tuple[float, str]:
    """Return one Bohr in the unit of the positions, and a comment.

    It is what the file states, else guessed from bonds of hydrogen, else from the name of the positions, ``source``.
    """
    few = few_frames(block)
    _, bonds = bonds_of_hydrogen(few["Ra"], few["Za"], few["edge_index"])
    bond = float(bonds.median()) * BOHR_IN_ANGSTROM / _HYDROGEN_BOND if len(bonds) else math.nan
    looks_like = next((bohr for bohr in LENGTHS if 0.85 < bond / bohr < 1.2), None)
    if stated.units.bohr is not None:
        is_doubted = len(bonds) and not 0.7 < bond / stated.units.bohr < 1.4
        return stated.units.bohr, _as_stated(stated, "length", LENGTHS, looks_like if is_doubted else None, "bonds")
    if looks_like is not None:
        return looks_like, f"{LENGTHS[looks_like]}."
    return _by_name(source, _OF_LENGTH, LENGTHS) or (BOHR_IN_ANGSTROM, "Å. CHECK: not to be told from the positions")


def few_frames(block: Block) -> dict[str, Tensor]:
    """Return positions, atomic numbers and forces of some frames, evenly spaced, with all pairs of their atoms."""
    sizes, is_chosen = block.arrays["N"], np.zeros(block.num_frames, dtype=bool)
    is_chosen[:: max(1, int(sizes.sum()) // _ATOMS_TO_LOOK_AT)] = True
    arrays, types = block.only(is_chosen), {"Ra": float, "Za": np.int64, "Fa": float}
    few = {name: torch.from_numpy(arrays[name].astype(types[name])) for name in types if name in arrays}
    N = torch.from_numpy(arrays["N"].astype(np.int64))
    return {**few, "edge_index": find_edges(few["Ra"], N, float("inf"))}


def likely_energy(block: Block, source: str, bohr: float, stated: StatedUnits) -> tuple[float, str]:
    """Return one Hartree in the unit of the energies, and a comment.

    It is what the file states, else guessed from all-electron energies, else from their name in the file, ``source``,
    else from the stiffness of bonds of hydrogen, for which ``bohr`` is one Bohr in the unit of the positions.
    """
    of_electrons = None
    known = labelled(block, "E") if "E" in block.arrays else None
    if known is not None and known.num_frames:
        E, Za = (known.arrays[name] for name in ("E", "Za"))
        of_electrons = unit_of_total_energies(float(np.mean(E)), Za, len(E))
    if stated.units.hartree is not None:
        is_doubted = of_electrons is not None and abs(of_electrons / stated.units.hartree - 1) > _SAME_UNIT
        looks_like = of_electrons if is_doubted else None
        return stated.units.hartree, _as_stated(stated, "energy", ENERGIES, looks_like, "energies")
    if of_electrons is not None:
        return of_electrons, f"{ENERGIES[of_electrons]}. CHECK"
    if named := _by_name(source, _OF_ENERGY, ENERGIES):
        return named
    unit = _by_stiffness(block, bohr) if "Fa" in block.arrays else None
    if unit is not None:
        return HARTREE_IN[unit], f"{unit}. CHECK: guessed from the stiffness of bonds of hydrogen"
    others = ", ".join(f"{unit} would be {value:.9g}" for value, unit in ENERGIES.items() if value != 1)
    return 1.0, f"Hartree. CHECK: not to be told from the energies; {others}"


def _as_stated(
    stated: StatedUnits, kind: Kind, units: Mapping[float, str], looks_like: float | None, evidence: str
) -> str:
    """Return the comment on a stated unit, with the other one that ``evidence`` speaks for, if it does."""
    comment = f"{stated.units.names[kind]}, {stated.said[kind]}."
    if looks_like is None:
        return comment
    return f"{comment} CHECK: the {evidence} look like {units[looks_like]}, which would be {looks_like:.9g}"


def _by_stiffness(block: Block, bohr: float) -> str | None:
    """Return the unit of energy with which the force constants of bonds of hydrogen are the usual ones."""
    _, factor = stiffness_of_bonds([few_frames(labelled(block, "Fa"))], 1.0, bohr)
    if factor is None:
        return None
    return energy_unit(factor, 1.0) or ("Hartree" if abs(math.log(factor)) < NEAR else None)


def _by_name(source: str, words: Mapping[str, str], units: Mapping[float, str]) -> tuple[float, str] | None:
    """Return the unit that an array is named after, if there is one."""
    for unit in (words[word] for word in re.split("[^a-z]+", source.lower()) if word in words):
        return next(value for value in units if units[value] == unit), f"{unit}. CHECK: by the name {one_line(source)}"
    return None


def suggested_weights(block: Block, targets: Sequence[str]) -> dict[str, float]:
    """Return a weight for each target: that of its kind over the spread of its labels in some frames."""
    spreads = {name: _spread(name, labelled(block, name)) for name in targets}
    return {name: FIELDS[name].weight / spread if spread > 0 else 1.0 for name, spread in spreads.items()}


def weights_by_forces(block: Block, targets: Sequence[str], bohr: float) -> dict[str, float]:
    """Return weights for ``l2norm`` of forces, ``mae_per_atom`` of energies, and RMSE of all other targets.

    The mean length of the errors of forces counts 1 over the RMS of the forces, and energies per atom a hundredth of
    that for 1 Å, where ``bohr`` is one Bohr in the unit of the positions: forces say far more about the potential, and
    energies are needed for what they leave open. Without forces it is the spread of the energies per atom that counts.
    """
    weights = suggested_weights(block, targets)
    forces = _spread("Fa", labelled(block, "Fa")) if "Fa" in targets else 0.0
    if forces > 0:
        weights["Fa"] = 1 / forces
    if "E" in targets:
        unit = 100 * forces * bohr / BOHR_IN_ANGSTROM if forces > 0 else _spread_per_atom(labelled(block, "E"))
        weights["E"] = 1 / unit if unit > 0 else 1.0
    return weights


def labelled(block: Block, name: str) -> Block:
    """Return the frames in which no label of a field is missing."""
    return Block(block.first, block.only(block.has(name)))


def _spread(name: str, labelled: Block) -> float:
    """Return by how much the labels of a field differ; 0 if there are none."""
    if not labelled.num_frames:
        return 0.0
    values, Za = labelled.arrays[name], labelled.arrays["Za"]
    if name == "E":
        return float(np.std(values - _fitted(labelled)))
    if name == "Qa":
        return float(np.sqrt(np.mean([np.var(values[Za == Z]) for Z in np.unique(Za)])))
    return float(np.sqrt(np.mean(np.square(values))))


def _spread_per_atom(labelled: Block) -> float:
    """Return by how much energies per atom differ; 0 if there are none."""
    arrays = labelled.arrays
    return float(np.std((arrays["E"] - _fitted(labelled)) / arrays["N"])) if labelled.num_frames else 0.0


def _fitted(block: Block) -> Array:
    """Return the (G,) energies that energies of atoms give, fitted to the labels: compositions alone are no spread."""
    N, Za = (torch.from_numpy(block.arrays[name].astype(np.int64)) for name in ("N", "Za"))
    counts = element_counts(N, Za, torch.unique(Za)).double().numpy()
    fitted: Array = counts @ np.linalg.lstsq(counts, block.arrays["E"].astype(float), rcond=None)[0]
    return fitted
