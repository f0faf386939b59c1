"""The one table of standard fields: what a name means, at which level, in which shape and unit, and how it is used.

Whatever lists names of fields derives them from :data:`FIELDS`: a new target is one row here, and the layer that
predicts it.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["graph", "atom", "pair", "edge"]
Role = Literal["feature", "target", "weight", "part", "graph", "layer"]
Kind = Literal["1", "length", "energy", "energy/length", "energy/length^3", "charge", "charge*length"]


@dataclass(frozen=True)
class Field:
    """A standard field.

    Attributes:
        level: what one row stands for: a molecule, an atom, a pair i < j, or an edge j -> i.
        shape: shape of one row.
        unit: kind of unit; ``1`` for a pure number. The unit itself is that of the user's data.
        meaning: one line for the documentation; what follows a semicolon is left out of messages.
        role: ``feature``: an input that a data file has; ``target``: a label that a potential learns; ``weight``: how
            much a frame counts in the loss; ``part``: which frames are in one part of a split; ``graph``: an input that
            is made for a batch; ``layer``: written by layers alone.
        dtype: integers stay integers; ``float`` follows the ``dtype`` of training; ``float64`` never goes below;
            ``text`` is in data files alone.
        aliases: names under which programs commonly store the quantity.
        name_parts: what the name of an array contains that probably holds the quantity.
        shareable: whether all frames of a data set may have the same value, which is then stored once.
        is_output: whether a potential returns it where a layer writes it.
        label: the quantity in a word or two, for plots; empty if it is never compared.
        weight: suggested weight in a loss times the spread of the labels.
        ase: names of the quantity in ASE's calculators.
    """

    level: Level
    shape: tuple[int | str, ...]
    unit: Kind
    meaning: str
    role: Role = "layer"
    dtype: Literal["int", "float", "float64", "text"] = "float"
    aliases: tuple[str, ...] = ()
    name_parts: tuple[str, ...] = ()
    shareable: bool = False
    is_output: bool = False
    label: str = ""
    weight: float = 1.0
    ase: tuple[str, ...] = ()

    @property
    def short_meaning(self) -> str:
        """The meaning without what follows a semicolon."""
        return self.meaning.partition(";")[0]


# Shape letters: A atoms, G molecules, P pairs, E edges, F features, K radial basis functions.
# fmt: off
FIELDS: dict[str, Field] = {
    "N": Field("graph", (), "1", "number of atoms", "feature", "int", shareable=True,
        aliases=("number_of_atoms", "natoms", "n_atoms", "num_atoms")),
    "Ra": Field("atom", (3,), "length", "positions", "feature", "float64",
        aliases=("coordinates", "positions", "coord", "coords", "R", "xyz", "pos"), name_parts=("geom", "cart", "xyz")),
    "Za": Field("atom", (), "1", "atomic numbers", "feature", "int", shareable=True,
        aliases=("atomic_numbers", "numbers", "nuclear_charges", "Z", "z", "species", "symbols", "elements", "atnum")),
    "Q": Field("graph", (), "charge",
        "total charge; as a prediction the sum of the atomic charges before ChargeConservation", "feature",
        aliases=("total_charge", "charge", "net_charge", "molecular_charge", "q", "tot_charge", "totalcharge",
                 "charge_tot", "charge_total", "molecule_charge", "mol_charge", "molcharge", "system_charge", "q_tot",
                 "q_total", "qtot", "tot_q", "total_q"), shareable=True, label="sum of charges"),
    "cell": Field("graph", (3, 3), "length", "lattice vectors of a periodic cell, one a row", "feature", "float64",
        aliases=("lattice", "lattice_vectors", "cell_vectors", "unit_cell", "unitcell", "box", "box_vectors", "cells",
                 "boxes", "lattices"), shareable=True),
    "pbc": Field("graph", (3,), "1", "whether the cell is repeated along each lattice vector, 1 or 0", "feature", "int",
        aliases=("periodic", "is_periodic", "pbcs"), shareable=True),
    # without an electronic temperature both energies of ASE are the same
    "E": Field("graph", (), "energy", "total energy", "target", "float64", is_output=True, label="energy", weight=0.1,
        aliases=("energy", "energies", "total_energy", "etot", "U0"), ase=("energy", "free_energy")),
    "Ea": Field("atom", (), "energy", "atomic energies of the core", is_output=True),
    "Fa": Field("atom", (3,), "energy/length", "forces", "target", is_output=True, label="force", weight=2.0,
        aliases=("forces", "force", "F", "gradients", "frc"), ase=("forces",)),
    "Qa": Field("atom", (), "charge", "atomic charges", "target", is_output=True, label="atomic charge", weight=0.5,
        aliases=("atomic_charges", "charges", "partial_charges"),
        name_parts=("mulliken", "hirshfeld", "bader", "partial"), ase=("charges",)),
    "M2": Field("graph", (3,), "charge*length", "dipole moment", "target", is_output=True, label="dipole",
        aliases=("dipole", "dipoles", "D", "mu"), ase=("dipole",)),
    "S": Field("graph", (6,), "energy/length^3", "stress, xx yy zz yz xz xy; (1/V) dE/dstrain, as in ASE", "target",
        is_output=True, label="stress", weight=0.5, aliases=("stress", "stresses", "virial", "virials"),
        name_parts=("stress", "virial"), ase=("stress",)),
    "weight": Field("graph", (), "1", "weight of a frame in the loss; 1 where it is missing", "weight",
        aliases=("config_weight",)),
    "group": Field("graph", (), "1", "name of the group of a frame, which has a weight in group_weights", "weight",
        "text", aliases=("config_type",)),
    "family": Field("graph", (), "1", "what Trainer.Splitter.group names; frames with the same are in one part", "part",
        "text", shareable=True),
    "batch": Field("atom", (), "1", "molecule that each atom belongs to", "graph", "int"),
    "edge_index": Field("edge", (2,), "1", "full neighbor list, (2, E), both directions of each pair", "graph", "int"),
    "Tij": Field("edge", (3,), "1",
        "lattice translations of the edges in periodic cells, whole numbers: R_j - R_i + Tij cell", "graph", "int"),
    "pair_index": Field("pair", (2,), "1",
        "pairs of the neighbor list, (2, P), j, i = pair_index, each once: i < j, or images", dtype="int"),
    "Vij": Field("pair", (3,), "length", "vectors of the pairs, from i to j: R_j - R_i (+ Tij cell)"),
    "Dij": Field("pair", (), "length", "distances of the pairs, the lengths of Vij"),
    "Fij": Field("pair", (3,), "energy/length", "forces of the pairs, minus the derivatives of the energy by Vij"),
    "W": Field("graph", (6,), "energy",
        "derivatives of the energy by the strain, at fixed vectors of the pairs, as of charges and their images"),
    "edge_index_sr": Field("edge", (2,), "1",
        "edges within cutoff_sr, (2, 2 P_sr): the pairs j -> i, then the same pairs reversed", dtype="int"),
    "Vij_sr": Field("pair", (3,), "length",
        "vectors R_j - R_i of the pairs within cutoff_sr, (P_sr, 3); reversed pairs: -Vij_sr"),
    "Dij_sr": Field("pair", (), "length", "distances of the pairs within cutoff_sr, (P_sr,)"),
    "rbf": Field("pair", ("K",), "1", "radial basis functions of the pairs within cutoff_sr, (P_sr, K)"),
    "x": Field("atom", ("F",), "1", "learned features of the atoms"),
    "Ma": Field("atom", (3,), "charge*length", "atomic dipoles of the core, beside those of its charges"),
    "Ea_electrostatic": Field("atom", (), "energy", "half of the electrostatic energy of each atom's pairs"),
    "Ea_zbl": Field("atom", (), "energy", "half of the screened repulsion of the nuclei of each atom's pairs"),
    "Ea_dispersion": Field("atom", (), "energy", "share of each atom in the dispersion energy of its molecule"),
    "Ea_charge": Field("atom", (), "energy", "share of each atom in the energy of the total charge"),
    "Q_sum": Field("graph", (), "charge", "sum of the atomic charges before they are corrected"),
}
# fmt: on

FEATURES = tuple(name for name, field in FIELDS.items() if field.role == "feature")
TARGETS = tuple(name for name, field in FIELDS.items() if field.role == "target")
MAY_BE_MISSING = (*TARGETS, "Q")
"""What frames may lack where the user says so: labels, and the total charge, which is 0 then."""
WEIGHTS = tuple(name for name, field in FIELDS.items() if field.role == "weight")
INPUTS = (*FEATURES, *(name for name, field in FIELDS.items() if field.role == "graph"))
"""What layers may read though no layer writes it."""
OF_CELLS = ("cell", "pbc", "Tij")
"""Those of them that only data with periodic cells have."""
FAMILY = "family"
SHAREABLE = tuple(name for name, field in FIELDS.items() if field.shareable)
OUTPUTS = tuple(name for name, field in FIELDS.items() if field.is_output)
COMPARED = (*TARGETS, *(name for name in FEATURES if FIELDS[name].label))
"""Fields with labels that predictions are compared with, in the order of tables and plots."""
IN_ASE = {ase: name for name, field in FIELDS.items() for ase in field.ase}
"""Name of a property in ASE -> field."""
