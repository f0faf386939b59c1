"""The one table of standard fields: what a name means, at which level, in which shape and unit."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["graph", "atom", "pair", "edge"]


@dataclass(frozen=True)
class Field:
    """A standard field.

    Attributes:
        level: what one row stands for: a molecule, an atom, a pair i < j, or an edge j -> i.
        shape: shape of one row.
        unit: kind of unit; ``1`` for a pure number. The unit itself is that of the user's data.
        meaning: one line for the documentation.
        dtype: integers stay integers; ``float`` follows the ``dtype`` of training; ``float64`` never goes below.
        aliases: names under which programs commonly store the quantity.
    """

    level: Level
    shape: tuple[int | str, ...]
    unit: str
    meaning: str
    dtype: Literal["int", "float", "float64"] = "float"
    aliases: tuple[str, ...] = ()


# Shape letters: A atoms, G molecules, P pairs, E edges, F features, K radial basis functions.
FIELDS: dict[str, Field] = {
    "N": Field("graph", (), "1", "number of atoms", "int", ("number_of_atoms", "natoms", "n_atoms", "num_atoms")),
    "Ra": Field("atom", (3,), "length", "positions", aliases=("coordinates", "positions", "coord", "R", "xyz", "pos")),
    "Za": Field(
        "atom",
        (),
        "1",
        "atomic numbers",
        "int",
        ("atomic_numbers", "numbers", "nuclear_charges", "Z", "z", "species", "symbols", "elements", "atnum"),
    ),
    "Q": Field(
        "graph",
        (),
        "charge",
        "total charge; as a prediction the sum of the atomic charges before ChargeConservation",
        aliases=("total_charge", "charge", "net_charge", "molecular_charge", "q"),
    ),
    "E": Field("graph", (), "energy", "total energy", "float64", ("energy", "energies", "total_energy", "etot", "U0")),
    "Fa": Field("atom", (3,), "energy/length", "forces", aliases=("forces", "force", "F", "gradients", "frc")),
    "Qa": Field("atom", (), "charge", "atomic charges", aliases=("atomic_charges", "charges", "partial_charges")),
    "M2": Field("graph", (3,), "charge*length", "dipole moment", aliases=("dipole", "dipoles", "D", "mu")),
    "batch": Field("atom", (), "1", "molecule that each atom belongs to", "int"),
    "edge_index": Field("edge", (2,), "1", "full neighbor list, (2, E), both directions of each pair", "int"),
    "pair_index": Field("pair", (2,), "1", "pairs i < j of the full neighbor list, (2, P)", "int"),
    "Dij": Field("pair", (), "length", "distances of the pairs"),
    "edge_index_sr": Field(
        "edge", (2,), "1", "edges within cutoff_sr, (2, 2 P_sr): the pairs i < j, then the same pairs reversed", "int"
    ),
    "Dij_sr": Field("pair", (), "length", "distances of the pairs within cutoff_sr, (P_sr,)"),
    "rbf": Field("pair", ("K",), "1", "radial basis functions of the pairs within cutoff_sr, (P_sr, K)"),
    "x": Field("atom", ("F",), "1", "learned features of the atoms"),
    "Ea": Field("atom", (), "energy", "atomic energies of the core"),
    "Ea_electrostatic": Field("atom", (), "energy", "half of the electrostatic energy of each atom's pairs"),
    "Q_sum": Field("graph", (), "charge", "sum of the atomic charges before they are corrected"),
}

FEATURES = ("N", "Ra", "Za", "Q")
TARGETS = ("E", "Fa", "Qa", "M2")
