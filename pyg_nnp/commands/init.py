"""A configuration to begin with, for a data file: ``pyg-nnp init``."""

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_nnp.commands.options import mapping_of
from pyg_nnp.config.yaml_reader import format_yaml
from pyg_nnp.data import Block
from pyg_nnp.data.formats.contents import columns_of, guess_fields, is_gradient
from pyg_nnp.data.formats.readers import format_of, read_blocks
from pyg_nnp.diagnostics.force_units import HARTREE_IN, NEAR, energy_unit
from pyg_nnp.diagnostics.forces import stiffness_of_bonds
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS
from pyg_nnp.functional.composition import element_counts
from pyg_nnp.functional.geometry import bonds_of_hydrogen
from pyg_nnp.functional.neighbors import find_edges
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES, LENGTHS, unit_of_total_energies

_CUTOFF = 5.0  # Å
# words in the name of an array that tell its unit
_WORDS = {
    "hartree": "Hartree",
    "ha": "Hartree",
    "ev": "eV",
    "kcal": "kcal/mol",
    "kj": "kJ/mol",
    "angstrom": "Å",
    "ang": "Å",
    "bohr": "Bohr",
    "nm": "nm",
}
_ATOMS_TO_LOOK_AT = 2000
_HYDROGEN_BOND = 1.08  # Å, to C, N and O


def first_config(path: Path, mapping: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a commented configuration for a data file, and lines that say what was guessed.

    Args:
        path: the file.
        mapping: standard name -> name in the file, where the user knows better than names and shapes.

    Raises:
        DataError: the file cannot be read, or has no positions, elements or labels that could be told.
    """
    columns = columns_of(path)
    guessed = guess_fields(columns)
    fields = {**{name: source for name, source in guessed.items() if source not in mapping.values()}, **mapping}
    shown = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
    for name in ("Ra", "Za"):
        if name not in fields:
            what = FIELDS[name].meaning
            raise DataError(f"{path}: none of these look like {what}: {shown}. Say which: --map {name}=NAME.")
    if not any(name in fields for name in TARGETS):
        raise DataError(f"{path}: none of these look like labels: {shown}. Say which, such as --map E=NAME.")
    data_format = format_of(path) or ""
    sources = {name: fields[name] for name in (*FEATURES, *TARGETS) if name in fields}
    block = next(read_blocks(path, data_format, sources))
    unused = [name for name in columns if name not in fields.values()]
    draft = _Draft(str(path), data_format, sources, block, unused)
    return draft.text(), draft.guesses()


class _Draft:
    """The lines of a configuration.

    Args:
        data_path: name of the data file.
        data_format: its format.
        sources: standard name -> name in the file.
        block: its first frames.
        unused: names in the file that nothing is read from.
    """

    def __init__(
        self, data_path: str, data_format: str, sources: Mapping[str, str], block: Block, unused: list[str]
    ) -> None:
        self.data_path, self.data_format, self.sources, self.unused = data_path, data_format, sources, unused
        self.block = block
        self.gradients = is_gradient(sources.get("Fa", ""))
        self.targets = [name for name in TARGETS if name in sources]
        self.charges = "Qa" in sources or "M2" in sources
        self.weights = _weights(block, self.targets)
        self.bohr, self.length = _length(block, sources["Ra"])
        self.hartree, self.energy = _energy(block, sources.get("E", ""), self.bohr)

    def text(self) -> str:
        """Return the whole file."""
        sections = self._data(), self._model(), self._training()
        return "\n".join(line for section in sections for line in section) + "\n"

    def guesses(self) -> list[str]:
        """Return what to look at, a line each."""
        names = [
            f"{name}: {_one_line(source)} ({FIELDS[name].meaning.partition(';')[0]})"
            for name, source in self.sources.items()
        ]
        names += ["Fa are taken for gradients, minus the forces"] if self.gradients else []
        names += [f"not used: {', '.join(map(_one_line, self.unused))}"] if self.unused else []
        if "Fa" not in self.sources and self.unused:
            names.append("no forces were recognised: if an array above holds them, say --map Fa=NAME")
        units = [f"positions are in {self.length}"]
        units += [f"energies are in {self.energy}"] if {"E", "Fa"} & {*self.targets} else []
        return [*names, *(unit.replace(". CHECK", "").rstrip(".") for unit in units)]

    def _data(self) -> list[str]:
        return [
            "# Written by pyg-nnp init. Guesses are marked with CHECK; all keys are in examples/reference.yaml.",
            "# Look for mistakes in the data with pyg-nnp check, then train with pyg-nnp train.",
            "Datahub:",
            f"  data_path: {_quoted(self.data_path)}",
            f"  data_format: {self.data_format}",
            "  features:  # standard name: name in the file. CHECK"
            + (f"; not used: {', '.join(map(_one_line, self.unused))}" if self.unused else ""),
            *self._mapped(FEATURES),
            *(() if "Q" in self.sources else ("    # Q: total charge; without it all molecules have charge 0",)),
            "  targets:  # CHECK",
            *self._mapped(TARGETS),
            "  transforms:",
            "    atomic_energy: " + ("fit  # energies of isolated atoms" if "E" in self.sources else "null"),
            *self._sign(),
        ]

    def _sign(self) -> list[str]:
        if "Fa" not in self.sources:
            return []
        forces = f"{_one_line(self.sources['Fa'])} are gradients, not forces"
        said = f"{forces}. CHECK: by the name" if self.gradients else f"true if {forces}; pyg-nnp check tells"
        return [f"    negative_gradient: {str(self.gradients).lower()}  # {said}"]

    def _mapped(self, names: tuple[str, ...]) -> list[str]:
        return [
            f"    {name}: {_quoted(self.sources[name])}  # {FIELDS[name].meaning.partition(';')[0]}"
            for name in names
            if name in self.sources
        ]

    def _model(self) -> list[str]:
        cutoff = _CUTOFF / BOHR_IN_ANGSTROM * self.bohr
        layers = ["RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core", "AtomicAffine"]
        layers += ["ChargeConservation"] if self.charges else []
        layers += ["AtomicCharge2Dipole"] if "M2" in self.targets else []
        layers += ["ElectrostaticEnergy"] if self.charges and "E" in self.targets else []
        layers += ["EnergyReduce"] if "E" in self.targets or "Fa" in self.targets else []
        layers += ["Force"] if "Fa" in self.targets else []
        lines = [
            "Modelhub:",
            "  FF01:  # results go to FF01-SchNet",
            "    architecture: SchNet",
            "    build_params:",
            "      dim_embedding: 64  # features of an atom; larger is slower and, with enough data, better",
            "      num_rbf: 32",
            "      max_Za: 94",
            f"      cutoff_sr: {cutoff:.4g}  # 5 Å",
            f"      Hartree_in_E: {self.hartree:.9g}  # energies are in {self.energy}",
            f"      Bohr_in_R: {self.bohr:.9g}  # positions are in {self.length}",
            "    layers:",
        ]
        for layer in layers:
            lines.append(f"      - name: {layer}")
            if layer == "Core":
                lines.append("        params: {num_interactions: 3, hidden_channels: 64}")
        return [*lines, "    loss:", *self._terms(6)]

    def _terms(self, indent: int) -> list[str]:
        margin = " " * indent
        lines = [f"{margin}rmse:  # weights per unit of each field, from their spread in the first frames"]
        lines += [f"{margin}  {name}: {float(f'{self.weights[name]:.1g}'):g}" for name in self.targets]
        if self.charges:
            lines.append(f"{margin}  Q: 1  # predicted charges should add up by themselves")
        return lines

    def _training(self) -> list[str]:
        return [
            "Trainer:",
            "  Splitter: {parts: [training, validation, test], ratios: [0.8, 0.1, 0.1]}",
            "  batch_size: 10",
            "  learning_rate: 5e-3",
            "  schedule: cosine",
            "  warmup_ratio: 0.02",
            "  max_epochs: 100  # the learning rate falls to 0 over so many; after four the log says how long",
            "Metrics:",
            *self._terms(2),
            "  mae:  # shown, without weight in the score",
            *(f"    {name}: 0" for name in self.targets),
        ]


def _quoted(text: str) -> str:
    return format_yaml({"": text}).partition(":")[2].strip()


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _weights(block: Block, targets: list[str]) -> dict[str, float]:
    """Return a weight for each target, from its spread."""
    spreads = {name: float(np.sqrt(np.mean(np.square(block.arrays[name])))) for name in targets}
    if "E" in targets:
        spreads["E"] = float(np.std(block.arrays["E"] - _fitted(block)))
    if "Qa" in targets:
        Za, Qa = block.arrays["Za"], block.arrays["Qa"]
        spreads["Qa"] = float(np.sqrt(np.mean([np.var(Qa[Za == Z]) for Z in np.unique(Za)])))
    return {name: FIELDS[name].weight / spread if spread > 0 else 1.0 for name, spread in spreads.items()}


def _fitted(block: Block) -> NDArray[Any]:
    """Return the energies that the best energies of atoms give, without which their spread is that of compositions."""
    N, Za = (torch.from_numpy(block.arrays[name].astype(np.int64)) for name in ("N", "Za"))
    counts = element_counts(N, Za, torch.unique(Za)).double().numpy()
    energies = block.arrays["E"].astype(float)
    fitted: NDArray[Any] = counts @ np.linalg.lstsq(counts, energies, rcond=None)[0]
    return fitted


def _length(block: Block, source: str) -> tuple[float, str]:
    """Return one Bohr in the unit of the positions, and what to say of it: bonds of hydrogen tell it, or the name."""
    some = _some(block)
    _, bonds = bonds_of_hydrogen(some.Ra, some.Za, some.edge_index)
    for bohr, unit in LENGTHS.items():
        if len(bonds) and 0.85 < float(bonds.median()) / bohr * BOHR_IN_ANGSTROM / _HYDROGEN_BOND < 1.2:
            return bohr, f"{unit}."
    return _by_name(source, LENGTHS) or (BOHR_IN_ANGSTROM, "Å. CHECK: not to be told from the positions")


def _some(block: Block) -> Data:
    """Return the first frames, with all pairs of their atoms."""
    sizes = block.arrays["N"].astype(np.int64)
    N = torch.from_numpy(sizes[: max(1, int(np.searchsorted(np.cumsum(sizes), _ATOMS_TO_LOOK_AT)))])
    atoms = int(N.sum())
    data = Data(
        Ra=torch.from_numpy(block.arrays["Ra"][:atoms].astype(float)),
        Za=torch.from_numpy(block.arrays["Za"][:atoms].astype(np.int64)),
        num_nodes=atoms,
    )
    if "Fa" in block.arrays:
        data.Fa = torch.from_numpy(block.arrays["Fa"][:atoms].astype(float))
    data.edge_index = find_edges(data.Ra, N, float("inf"))
    return data


def _energy(block: Block, source: str, bohr: float) -> tuple[float, str]:
    """Return one Hartree in the unit of the energies, and what to say.

    All-electron energies tell it, or the name, or with forces how stiff bonds of hydrogen are.
    """
    if "E" in block.arrays:
        hartree = unit_of_total_energies(float(np.mean(block.arrays["E"])), block.arrays["Za"], block.num_frames)
        if hartree is not None:
            return hartree, f"{ENERGIES[hartree]}. CHECK"
    if named := _by_name(source, ENERGIES):
        return named
    factor = stiffness_of_bonds([_some(block)], 1.0, bohr)[1] if "Fa" in block.arrays else None
    if factor is not None:
        unit = energy_unit(factor, 1.0) or ("Hartree" if abs(math.log(factor)) < NEAR else None)
        if unit is not None:
            return HARTREE_IN[unit], f"{unit}. CHECK: guessed from the stiffness of bonds of hydrogen"
    others = ", ".join(f"{unit} would be {value:.9g}" for value, unit in ENERGIES.items() if value != 1)
    return 1.0, f"Hartree. CHECK: not to be told from the energies; {others}"


def _by_name(source: str, units: Mapping[float, str]) -> tuple[float, str] | None:
    """Return the unit that an array is named after, if there is one."""
    for word in re.split("[^a-z]+", source.lower()):
        for value, unit in units.items():
            if _WORDS.get(word) == unit:
                return value, f"{unit}. CHECK: by the name {_one_line(source)}"
    return None


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp init``."""
    text, guesses = first_config(options.data, mapping_of(options.map))
    write_durably(options.out, [text.encode()])
    print(f"{options.data} seems to have:", *guesses, sep="\n  ")
    print(f"{options.out}: look at what is marked with CHECK, then: pyg-nnp check {options.out}")
    return 0
