"""Whether data, split and model fit each other: asked once, before training."""

import logging
from collections.abc import Mapping

import torch
from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError, DataError, FieldError
from pyg_nnp.fields import INPUTS
from pyg_nnp.functional.difference import difference
from pyg_nnp.functional.geometry import bonds_of_hydrogen, pair_distances
from pyg_nnp.layers import RangeSeparation
from pyg_nnp.potential.potential import Potential
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES, LENGTHS, unit_of_total_energies

log = logging.getLogger(__name__)

_SAMPLE, _SAMPLED_PAIRS = 200, 1_000_000
# bonds of hydrogen to C, N and O are from 0.95 to 1.2 Å long; those to other elements say little about the unit
_HYDROGEN_BOND = (0.7, 1.5)  # Å
_SHORT_CUTOFF = 3.5  # Å
# root mean square of forces in sets of molecules far from their minima: below 0.2
_LARGEST_FORCE = 0.5  # Hartree/Bohr
# at 300 K around 0.02; less only where all frames are near their minima
_SMALL_FORCE = 0.003  # Hartree/Bohr
# no two units of energy are nearer
_SAME_UNIT = 0.01


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


def check_lengths(config: Config, name: str, dataset: MoleculeDataset) -> None:
    """Refuse ``Bohr_in_R`` where the positions cannot be in that unit; where there is none, ask about Bohr.

    Raises:
        ConfigError: bonds of hydrogen would have an impossible length.
    """
    model = config.Modelhub.internal_FFs[name]
    place, bohr = f"{config.source}: Modelhub.{name}.build_params", model.units.bohr
    sample = dataset.batch(_some_frames(dataset))
    bond = _bond_of_hydrogen(sample.Ra.double(), sample.Za, sample.edge_index)
    if bohr is None:
        _warn_of_bohr(place, model.build_params.get("cutoff_sr"), bond)
        return
    low, high = _HYDROGEN_BOND
    if bond is not None and not low < bond / bohr * BOHR_IN_ANGSTROM < high:
        likely = [(value, unit) for value, unit in LENGTHS.items() if low < bond / value * BOHR_IN_ANGSTROM < high]
        advice = "".join(f" The positions look like {unit}: set it to {value:.9g}." for value, unit in likely[:1])
        raise ConfigError(
            f"{place}.Bohr_in_R: {bohr} cannot be: bonds of hydrogen to C, N and O are around {bond:.3g} in the "
            f"unit of the data, which would be {bond / bohr * BOHR_IN_ANGSTROM:.3g} Å.{advice} "
            f"One Bohr is {BOHR_IN_ANGSTROM} in Å, 1 in Bohr; cutoffs are in that unit, too."
        )


def check_energies(config: Config, name: str, dataset: MoleculeDataset) -> None:
    """Refuse ``Hartree_in_E`` where forces cannot be in that unit; where there are none, ask about total energies.

    Raises:
        ConfigError: forces would be impossibly large.
    """
    units, place = config.Modelhub.internal_FFs[name].units, f"{config.source}: Modelhub.{name}.build_params"
    bohr, hartree = units.bohr, units.hartree
    sample = dataset.batch(_some_frames(dataset))
    if hartree is not None and "E" in dataset.fields and "Fa" not in dataset.fields:
        found = unit_of_total_energies(float(sample.E.mean()), sample.Za.numpy(), sample.num_graphs)
        if found is not None and abs(found / hartree - 1) > _SAME_UNIT:
            log.warning(
                "%s.Hartree_in_E: %g does not go with the energies, which look like %s: their mean, %.6g, is what "
                "total energies of these molecules are in that unit. Set it to %.9g.",
                place,
                hartree,
                ENERGIES[found],
                float(sample.E.mean()),
                found,
            )
    if bohr is None or hartree is None or "Fa" not in dataset.fields:
        return
    rms = float(sample.Fa.double().square().mean().sqrt())
    if rms * bohr / hartree > _LARGEST_FORCE:
        raise ConfigError(
            f"{place}.Hartree_in_E: {hartree} cannot be: the forces of the data have a root mean square of {rms:.3g}, "
            f"which would be {rms * bohr / hartree:.3g} Hartree/Bohr. "
            "One Hartree is 1 in Hartree, 27.2113862 in eV, 627.509474 in kcal/mol, 2625.49964 in kJ/mol."
        )
    if 0 < rms * bohr / hartree < _SMALL_FORCE:
        log.warning(
            "%s.Hartree_in_E: with %g the forces of the data are small, %.3g Hartree/Bohr. Is that their unit?",
            place,
            hartree,
            rms * bohr / hartree,
        )


def _warn_of_bohr(place: str, cutoff: float | None, bond: float | None) -> None:
    """Ask about a cutoff that is short if the positions are in Bohr, as bonds of hydrogen say they are."""
    high = _HYDROGEN_BOND[1]
    if bond is None or cutoff is None or not high < bond < high / BOHR_IN_ANGSTROM:
        return
    if cutoff * BOHR_IN_ANGSTROM < _SHORT_CUTOFF:
        log.warning(
            "%s.cutoff_sr: the positions look like Bohr: bonds of hydrogen to C, N and O are around %.3g. %g is "
            "then only %.2g Å. Give cutoff_sr in Bohr, or positions in Å.",
            place,
            bond,
            cutoff,
            cutoff * BOHR_IN_ANGSTROM,
        )


def check_cutoff(config: Config, name: str, potential: Potential, dataset: MoleculeDataset) -> None:
    """Refuse a ``cutoff_sr`` within which nine of ten atoms have no other.

    Raises:
        ConfigError: they have none, although they are not alone in their molecules.
    """
    sample = dataset.batch(_some_frames(dataset))
    distances = pair_distances(sample.Ra.double(), sample.edge_index)
    nearest = distances.new_full((len(sample.Za),), torch.inf)
    nearest = nearest.scatter_reduce(0, sample.edge_index[1], distances, "amin")
    nearest = nearest[nearest.isfinite()]
    for layer in potential.layers:
        if isinstance(layer, RangeSeparation) and len(nearest) and float(nearest.quantile(0.1)) >= layer.cutoff_sr:
            raise ConfigError(
                f"{config.source}: Modelhub.{name}.build_params.cutoff_sr: nine of ten atoms have no other "
                f"within {layer.cutoff_sr}; the shortest distance is {float(nearest.min()):.3g} in the unit of the "
                "data. Choose it larger, commonly 5 Å."
            )


def check_references(config: Config, dataset: MoleculeDataset) -> None:
    """Refuse reference energies that cannot be in the unit of the energies.

    Raises:
        DataError: what remains after they are subtracted is larger than the energies themselves.
    """
    if not dataset.atomic_energies or "E" not in dataset.fields:
        return
    sample = dataset.batch(_some_frames(dataset))
    table = torch.zeros(1 + max(dataset.atomic_energies), dtype=torch.float64)
    for element, energy in dataset.atomic_energies.items():
        table[element] = energy
    total = float(sample.E.mean())
    rest = total - float(table[sample.Za].sum()) / len(sample.E)
    file = config.Datahub.transforms.atomic_energy
    # with some pseudopotentials little remains of atoms, but never more than the total
    if abs(rest) > 1.5 * abs(total):
        raise DataError(
            f"{file}: the energies of the data are {total:.6g} on average, without these atomic energies {rest:.6g}. "
            f"Give the atomic energies in the unit and with the sign of '{dataset.sources['E']}', from the same method."
        )
    if abs(rest) > 0.9 * abs(total):
        log.warning(
            "%s: these atomic energies are hardly a part of E (%.6g of %.6g). Is it the same unit?",
            file,
            total - rest,
            total,
        )


def check_prediction(config: Config, name: str, potential: Potential, dataset: MoleculeDataset) -> None:
    """Let a potential predict two frames, so that layers that do not fit together show before training.

    Errors of users' own layers pass unchanged, for their traceback.

    Raises:
        FieldError: the layers do not fit together, change their input, or predict fields in another shape.
    """
    batch = dataset.batch(torch.arange(min(2, len(dataset))))
    given = {field: batch[field].clone() for field in INPUTS}
    place = f"{config.source}: Modelhub.{name}.layers"
    try:
        predicted = potential.eval()(batch)
        for weights in (config.Modelhub.internal_FFs[name].loss, config.Metrics):
            for field in {field for of_field in weights.values() for field in of_field}:
                difference(predicted, batch, field)
    except FieldError as error:
        raise FieldError(f"{place}: {error}") from error
    except RuntimeError as error:
        if any(not type(layer).__module__.startswith("pyg_nnp.") for layer in potential.layers):
            raise
        raise FieldError(
            f"{place}: the layers do not fit together: {error}. "
            "Options that layers share, such as num_rbf and dim_embedding, have one value; give them in build_params."
        ) from error
    for field, value in given.items():
        if not torch.equal(batch[field], value):
            raise FieldError(f"{place}: one of the layers changes '{field}' in place. Let it return a new tensor.")


def _some_frames(dataset: MoleculeDataset) -> Tensor:
    """Return up to 200 frames, evenly spaced, fewer of large molecules."""
    fitting = max(1, _SAMPLED_PAIRS // int(dataset.N.max()) ** 2)
    return torch.linspace(0, len(dataset) - 1, min(_SAMPLE, fitting, len(dataset))).long()


def _bond_of_hydrogen(Ra: Tensor, Za: Tensor, edge_index: Tensor) -> float | None:
    """Return the median length of bonds of H to C, N and O, or None if there are hardly any."""
    _, lengths = bonds_of_hydrogen(Ra, Za, edge_index)
    return float(lengths.median()) if len(lengths) > 0.1 * int((Za == 1).sum()) else None
