"""Public collections of data, known by the names in their files: what these names mean, in which units and sign."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyg_nnp.data.source import ArrayTypes
from pyg_nnp.fields import FIELDS
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL, Units

_HARTREE_ANGSTROM = Units(1.0, BOHR_IN_ANGSTROM)
_EV_ANGSTROM = Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM)
_KCAL_ANGSTROM = Units(HARTREE_IN_KCAL_PER_MOL, BOHR_IN_ANGSTROM)
_NOT_SAID = Units()


@dataclass(frozen=True)
class Collection:
    """The layout of a collection.

    Attributes:
        name: of the collection, or of the program that writes such files.
        formats: the data formats that it comes in.
        fields: standard name -> name in the file; a label that a file lacks is left out.
        marks: names that all its files have, besides those of positions, elements and energies.
        units: of energies and lengths, as far as the collection says them.
        is_gradient: whether ``Fa`` are gradients, minus the forces.
    """

    name: str
    formats: tuple[str, ...]
    fields: Mapping[str, str]
    marks: tuple[str, ...] = ()
    units: Units = _NOT_SAID
    is_gradient: bool = False

    def is_of(self, columns: ArrayTypes, data_format: str, mapping: Mapping[str, str]) -> bool:
        """Return whether a file has this layout, where a user maps energies and forces to nothing else."""
        needed = {*self.marks, *(self.fields[name] for name in ("Ra", "Za", "E"))}
        others = [name for name in ("E", "Fa") if mapping.get(name) and mapping[name] != self.fields.get(name)]
        return data_format in self.formats and needed <= columns.keys() and not others

    def sources(self, columns: ArrayTypes) -> dict[str, str]:
        """Return standard name -> name in the file, of what the file has."""
        return {name: self.fields[name] for name in FIELDS if self.fields.get(name) in columns}

    def without_other_methods(self, columns: ArrayTypes) -> ArrayTypes:
        """Return what the file has but labels of other methods than its own, where names begin with that of one."""
        method, dot, _ = self.fields["E"].partition(".")
        return {name: column for name, column in columns.items() if not dot or name.partition(".")[0] in (name, method)}


# The layouts, as their authors describe them. Files of two have the marks of both: the first one counts.
COLLECTIONS = (
    Collection(
        "SPICE",
        ("hdf5",),
        {
            "Ra": "conformations",
            "Za": "atomic_numbers",
            "Q": "smiles",
            "E": "dft_total_energy",
            "Fa": "dft_total_gradient",
            "Qa": "mbis_charges",
            "M2": "scf_dipole",
        },
        units=Units(1.0, 1.0),
        is_gradient=True,
    ),
    Collection(
        "ANI-1x",
        ("hdf5",),
        {
            "Ra": "coordinates",
            "Za": "atomic_numbers",
            "E": "wb97x_dz.energy",
            "Fa": "wb97x_dz.forces",
            "Qa": "wb97x_dz.cm5_charges",
            "M2": "wb97x_dz.dipole",
        },
        units=_HARTREE_ANGSTROM,
    ),
    Collection(
        "ANI-1ccx",
        ("hdf5",),
        {"Ra": "coordinates", "Za": "atomic_numbers", "E": "ccsd(t)_cbs.energy"},
        units=_HARTREE_ANGSTROM,
    ),
    Collection(
        "ANI-1x with a triple-zeta basis",
        ("hdf5",),
        {
            "Ra": "coordinates",
            "Za": "atomic_numbers",
            "E": "wb97x_tz.energy",
            "Fa": "wb97x_tz.forces",
            "Qa": "wb97x_tz.mbis_charges",
            "M2": "wb97x_tz.dipole",
        },
        units=_HARTREE_ANGSTROM,
    ),
    Collection(
        "ANI-1, ANI-2x and COMP6",
        ("hdf5",),
        {"Ra": "coordinates", "Za": "species", "E": "energies", "Fa": "forces"},
        units=_HARTREE_ANGSTROM,
    ),
    Collection(
        "QM7-X",
        ("hdf5",),
        {"Ra": "atXYZ", "Za": "atNUM", "E": "ePBE0+MBD", "Fa": "totFOR", "Qa": "hCHG", "M2": "vDIP"},
        units=_EV_ANGSTROM,
    ),
    Collection(
        "Transition1x",
        ("hdf5",),
        {
            "Ra": "positions",
            "Za": "atomic_numbers",
            "E": "wB97x_6-31G(d).energy",
            "Fa": "wB97x_6-31G(d).forces",
        },
        units=_EV_ANGSTROM,
    ),
    Collection(
        "AIMNet2",
        ("hdf5",),
        {
            "Ra": "coord",
            "Za": "numbers",
            "Q": "charge",
            "E": "energy",
            "Fa": "forces",
            "Qa": "charges",
            "M2": "dipole",
        },
        marks=("charge", "charges"),
        units=_EV_ANGSTROM,
    ),
    Collection(
        "TorchMD-NET",
        ("hdf5", "npz"),
        {"Ra": "pos", "Za": "types", "E": "energy", "Fa": "forces"},
    ),
    Collection(
        "QM9",
        ("qm9",),
        {"Ra": "positions", "Za": "symbols", "E": "U0", "Qa": "mulliken_charges"},
        units=_HARTREE_ANGSTROM,
    ),
    Collection(
        "QM9 as npz",
        ("npz",),
        # here charges are those of the nuclei
        {"N": "num_atoms", "Ra": "positions", "Za": "charges", "E": "U0"},
        marks=("num_atoms", "Cv"),
        units=_HARTREE_ANGSTROM,
    ),
    Collection(
        "MD17 and MD22",
        ("npz",),
        {"Ra": "R", "Za": "z", "E": "E", "Fa": "F"},
        marks=("name", "theory"),
        units=_KCAL_ANGSTROM,
    ),
    Collection(
        "rMD17",
        ("npz",),
        {"Ra": "coords", "Za": "nuclear_charges", "E": "energies", "Fa": "forces"},
        marks=("old_energies", "old_forces"),
        units=_KCAL_ANGSTROM,
    ),
    Collection(
        "PhysNet",
        ("npz",),
        {"N": "N", "Ra": "R", "Za": "Z", "Q": "Q", "E": "E", "Fa": "F", "M2": "D"},
        marks=("N", "Q", "D"),
        units=_EV_ANGSTROM,
    ),
    Collection(
        "OMol25",
        ("aselmdb",),
        {"Ra": "positions", "Za": "numbers", "Q": "charge", "E": "energy", "Fa": "forces"},
        marks=("charge", "spin"),
    ),
    *(
        Collection(
            "MACE",
            ("extxyz", "ase", "aselmdb"),
            {
                "Ra": "positions",
                "Za": "numbers",
                "Q": charge,
                "E": "REF_energy",
                "Fa": "REF_forces",
                "Qa": "REF_charges",
                "M2": "REF_dipole",
                "S": "REF_stress",
            },
        )
        for charge in ("total_charge", "charge")
    ),
)


def collection_of(columns: ArrayTypes, data_format: str, mapping: Mapping[str, str]) -> Collection | None:
    """Return the collection whose layout a file has, or None.

    Args:
        columns: what the file has.
        data_format: its format.
        mapping: standard name -> name in the file, where a user says it.
    """
    found = [one for one in COLLECTIONS if one.is_of(columns, data_format, mapping)]
    return max(found, key=lambda one: len(one.sources(columns)), default=None)
