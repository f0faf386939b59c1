"""Whether positions, energies and forces can be in the units that a model is configured for."""

from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.geometry import bonds_of_hydrogen
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES, LENGTHS, unit_of_total_energies

# bonds of hydrogen to C, N and O are from 0.95 to 1.2 Å long; those to other elements say little about the unit
_HYDROGEN_BOND = (0.7, 1.5)  # Å
_SHORT_CUTOFF = 3.5  # Å
# root mean square of forces in sets of molecules far from their minima: below 0.2
_LARGEST_FORCE = 0.5  # Hartree/Bohr
# at 300 K around 0.02; less only where all frames are near their minima
_SMALL_FORCE = 0.003  # Hartree/Bohr
# no two units of energy are nearer
_SAME_UNIT = 0.01


def check_length_unit(config: Config, name: str, sample: Batch) -> tuple[Finding, ...]:
    """Compare bonds of hydrogen with ``Bohr_in_R``; where it is not given, look whether positions are in Bohr.

    Args:
        config: the configuration.
        name: of the model.
        sample: some frames.

    Returns:
        An error if bonds of hydrogen have an impossible length, a warning if the cutoff is short.
    """
    model = config.Modelhub.internal_FFs[name]
    place, bohr = _place(config, name), model.units.bohr
    bond = _bond_of_hydrogen(sample.Ra.double(), sample.Za, sample.edge_index)
    if bond is None:
        return ()
    if bohr is None:
        return _short_cutoff(place, model.build_params.get("cutoff_sr"), bond)
    low, high = _HYDROGEN_BOND
    if low < bond / bohr * BOHR_IN_ANGSTROM < high:
        return ()
    likely = [(value, unit) for value, unit in LENGTHS.items() if low < bond / value * BOHR_IN_ANGSTROM < high]
    advice = "".join(f"The positions look like {unit}: set it to {value:.9g}. " for value, unit in likely[:1])
    advice += f"One Bohr is {BOHR_IN_ANGSTROM} in Å, 1 in Bohr; cutoffs are in that unit, too."
    text = (
        f"{place}.Bohr_in_R: {bohr} cannot be: bonds of hydrogen to C, N and O are around {bond:.3g} in the "
        f"unit of the data, which would be {bond / bohr * BOHR_IN_ANGSTROM:.3g} Å."
    )
    return (Finding("unit of positions", "Ra", text, advice, numbers={"bond of hydrogen": bond}, error=ConfigError),)


def check_energy_unit(config: Config, name: str, sample: Batch) -> tuple[Finding, ...]:
    """Compare the size of forces with ``Hartree_in_E``; where there are no forces, that of total energies.

    Args:
        config: the configuration.
        name: of the model.
        sample: some frames.

    Returns:
        An error if forces are impossibly large, a warning if they are small or the energies in another unit.
    """
    units, place = config.Modelhub.internal_FFs[name].units, _place(config, name)
    bohr, hartree = units.bohr, units.hartree
    if hartree is None:
        return ()
    if "Fa" not in sample:
        return _unit_of_energies(place, hartree, sample) if "E" in sample else ()
    if bohr is None:
        return ()
    rms = float(sample.Fa.double().square().mean().sqrt())
    size = rms * bohr / hartree
    numbers = {"force in Hartree/Bohr": size}
    if size > _LARGEST_FORCE:
        text = (
            f"{place}.Hartree_in_E: {hartree} cannot be: the forces of the data have a root mean square of {rms:.3g}, "
            f"which would be {size:.3g} Hartree/Bohr."
        )
        advice = "One Hartree is 1 in Hartree, 27.2113862 in eV, 627.509474 in kcal/mol, 2625.49964 in kJ/mol."
        return (Finding("unit of forces", "Fa", text, advice, numbers=numbers, error=ConfigError),)
    if 0 < size < _SMALL_FORCE:
        text = f"{place}.Hartree_in_E: with {hartree:g} the forces of the data are small, {size:.3g} Hartree/Bohr."
        return (Finding("unit of forces", "Fa", text, "Is that their unit?", numbers=numbers),)
    return ()


def _unit_of_energies(place: str, hartree: float, sample: Batch) -> tuple[Finding, ...]:
    mean = float(sample.E.mean())
    found = unit_of_total_energies(mean, sample.Za.numpy(), sample.num_graphs)
    if found is None or abs(found / hartree - 1) <= _SAME_UNIT:
        return ()
    text = (
        f"{place}.Hartree_in_E: {hartree:g} does not go with the energies, which look like {ENERGIES[found]}: their "
        f"mean, {mean:.6g}, is what total energies of these molecules are in that unit."
    )
    return (Finding("unit of energies", "E", text, f"Set it to {found:.9g}.", numbers={"mean energy": mean}),)


def _short_cutoff(place: str, cutoff: float | None, bond: float) -> tuple[Finding, ...]:
    """Ask about a cutoff that is short if the positions are in Bohr, as bonds of hydrogen say they are."""
    high = _HYDROGEN_BOND[1]
    if cutoff is None or not high < bond < high / BOHR_IN_ANGSTROM or cutoff * BOHR_IN_ANGSTROM >= _SHORT_CUTOFF:
        return ()
    text = (
        f"{place}.cutoff_sr: the positions look like Bohr: bonds of hydrogen to C, N and O are around {bond:.3g}. "
        f"{cutoff:g} is then only {cutoff * BOHR_IN_ANGSTROM:.2g} Å."
    )
    advice = "Give cutoff_sr in Bohr, or positions in Å."
    return (Finding("short cutoff", "Ra", text, advice, numbers={"bond of hydrogen": bond}),)


def _place(config: Config, name: str) -> str:
    return f"{config.source}: Modelhub.{name}.build_params"


def _bond_of_hydrogen(Ra: Tensor, Za: Tensor, edge_index: Tensor) -> float | None:
    """Return the median length of bonds of H to C, N and O, or None if there are hardly any."""
    _, lengths = bonds_of_hydrogen(Ra, Za, edge_index)
    return float(lengths.median()) if len(lengths) > 0.1 * int((Za == 1).sum()) else None
