"""A commented configuration to begin with, written for the names and units of a data file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyg_nnp.config.recipes import DEFAULT, RECIPES, batch_size_for
from pyg_nnp.config.yaml_reader import format_yaml
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS, WEIGHTS
from pyg_nnp.units import BOHR_IN_ANGSTROM

_CUTOFF = 5.0  # Å
_TRAINING = 0.8  # share of the frames
_NAMES_SHOWN = 50  # of what is not used


@dataclass(frozen=True)
class Draft:
    """The lines of a configuration, where guesses are marked with CHECK.

    Attributes:
        sources: standard name -> name in the file.
        unused: names in the file that nothing is read from.
        layout: name of the collection whose layout the file has, or empty.
        missing: target, or ``Q`` -> number of frames that lack it, of how many.
        dropped: standard name -> why the array that seemed to be it cannot be read.
        atomic_energy: where reference energies are from, as the option of this name.
        gradients: whether ``Fa`` are gradients, minus the forces, and what tells it; None without forces.
        num_frames: number of frames that are divided into parts.
        atoms_per_frame: their mean number of atoms.
        weights: target -> its weight among root mean square errors.
        weights_by_forces: target -> its weight in the loss of a recipe with other kinds of errors.
        length: one Bohr in the unit of the positions, and a comment with the name of the unit.
        energy: one Hartree in the unit of the energies, and a comment likewise.
        charges_differ: whether frames differ in their total charge.
        has_wires: whether a frame is periodic along one of its lattice vectors alone.
        architecture: of the model.
        minutes: how long it is trained; None: as long as the recipe of the architecture says.
    """

    data_path: str | list[str]
    data_format: str | None
    sources: Mapping[str, str]
    unused: Sequence[str]
    layout: str
    missing: Mapping[str, tuple[int, int]]
    dropped: Mapping[str, str]
    atomic_energy: str
    gradients: tuple[bool, str] | None
    num_frames: int
    atoms_per_frame: float
    weights: Mapping[str, float]
    weights_by_forces: Mapping[str, float]
    length: tuple[float, str]
    energy: tuple[float, str]
    charges_differ: bool = False
    has_wires: bool = False
    architecture: str = DEFAULT
    minutes: float | None = None

    @property
    def targets(self) -> list[str]:
        """Labels that the file has; energies where none were recognised, so that a name is all that is to be added."""
        return [name for name in TARGETS if name in self.sources] or ["E"]

    @property
    def has_charges(self) -> bool:
        """Whether a label teaches atomic charges."""
        return "Qa" in self.targets or "M2" in self.targets

    def text(self) -> str:
        """Return the whole file."""
        sections = self._data(), self._model(), self._training()
        return "\n".join(line for section in sections for line in section) + "\n"

    def guesses(self) -> list[str]:
        """Return what was guessed, a line each."""
        names = [f"the layout of {self.layout}"] if self.layout else []
        names += [f"{name}: {one_line(source)} ({FIELDS[name].short_meaning})" for name, source in self.sources.items()]
        names += [
            f"{name} is missing in {few} of {all_frames} frames{', where it is taken to be 0' if name == 'Q' else ''}"
            for name, (few, all_frames) in self.missing.items()
        ]
        if self.gradients is not None and self.gradients[0]:
            names.append(f"Fa are taken for gradients, minus the forces, {self.gradients[1]}")
        names += ["total charges differ, so the model has the layer ChargeEmbedding"] if self.charges_differ else []
        names += [f"{name} was not taken: {one_line(why)}" for name, why in self.dropped.items()]
        names += [f"not used: {self._unused_names}"] if self.unused else []
        for name, what in (("E", "total energies"), ("Fa", "forces")):
            if name not in self.sources and name not in self.dropped and self.unused:
                names.append(f"no {what} were recognised: if an array above holds them, say --map {name}=NAME")
        units = [f"positions are in {self.length[1]}"]
        units += [f"energies are in {self.energy[1]}"] if {"E", "Fa"} & {*self.targets} else []
        return [*names, *(unit.replace(". CHECK", "").rstrip(".") for unit in units)]

    @property
    def _unused_names(self) -> str:
        more = f" and {len(self.unused) - _NAMES_SHOWN} more" if len(self.unused) > _NAMES_SHOWN else ""
        return ", ".join(map(one_line, self.unused[:_NAMES_SHOWN])) + more

    def _data(self) -> list[str]:
        return [
            "# Written by pyg-nnp init. Guesses are marked with CHECK; all keys are in examples/reference.yaml.",
            "# Look for mistakes in the data with pyg-nnp check, then train with pyg-nnp train.",
            *([f"# The names are those of {self.layout}, and so are units and sign."] if self.layout else []),
            "Datahub:",
            *self._files(),
            "  features:  # standard name: name in the file. CHECK"
            + (f"; not used: {self._unused_names}" if self.unused else ""),
            *self._mapped((*FEATURES, *WEIGHTS)),
            *(() if "Q" in self.sources else ("    # Q: total charge; without it all molecules have charge 0",)),
            *self._labels(),
            "  transforms:",
            f"    atomic_energy: {self.atomic_energy if 'E' in self.targets else 'null'}  # energies of isolated atoms",
            *self._sign(),
        ]

    def _files(self) -> list[str]:
        if isinstance(self.data_path, str):
            lines = [f"  data_path: {_quoted(self.data_path)}"]
        else:
            lines = ["  data_path:", *(f"    - {_quoted(path)}" for path in self.data_path)]
        return lines + ([f"  data_format: {self.data_format}"] if self.data_format else [])

    def _labels(self) -> list[str]:
        dropped = [f"    # {name} was not taken: {one_line(why)}" for name, why in self.dropped.items()]
        if not any(name in self.sources for name in TARGETS):
            example = "such as {E: name of the total energies}"
            return [f"  targets: {{}}  # CHECK: no labels were recognised. Give their names, {example}", *dropped]
        told = [f"{name} in {few} of {all_frames} frames" for name, (few, all_frames) in self.missing.items()]
        missing = [f"  allow_missing: [{', '.join(self.missing)}]  # missing: {', '.join(told)}"] if told else []
        return ["  targets:  # CHECK", *self._mapped(tuple(self.targets)), *dropped, *missing]

    def _sign(self) -> list[str]:
        if self.gradients is None:
            return []
        is_true, why = self.gradients
        name = one_line(self.sources["Fa"])
        said = f"{name} are gradients, not forces" if is_true else f"true for gradients; {name} are forces"
        return [f"    negative_gradient: {str(is_true).lower()}  # {said}. CHECK: {why}"]

    def _mapped(self, names: tuple[str, ...]) -> list[str]:
        return [
            f"    {name}: {_quoted(self.sources[name])}  # {FIELDS[name].short_meaning}{self._doubt(name)}"
            for name in names
            if name in self.sources
        ]

    def _doubt(self, name: str) -> str:
        is_either = name == "S" and all(word in self.sources[name].lower() for word in ("stress", "virial"))
        return ". CHECK: taken for a stress; virials need a name without stress in it" if is_either else ""

    def _model(self) -> list[str]:
        cutoff = _CUTOFF / BOHR_IN_ANGSTROM * self.length[0]
        recipe = RECIPES[self.architecture]
        layers = ["RangeSeparation", recipe.radial, "RandomAtomEmbedding"]
        layers += ["ChargeEmbedding"] if self.charges_differ else []
        layers += ["Core", "AtomicAffine"] if recipe.has_affine else ["Core"]
        layers += ["ChargeConservation"] if self.has_charges else []
        layers += ["AtomicCharge2Dipole"] if "M2" in self.targets else []
        # which refuses wires
        layers += ["ElectrostaticEnergy"] if self.has_charges and "E" in self.targets and not self.has_wires else []
        layers += ["EnergyReduce"] if {"E", "Fa", "S"} & {*self.targets} else []
        layers += ["Force"] if {"Fa", "S"} & {*self.targets} else []
        layers += ["Stress"] if "S" in self.targets else []
        lines = [
            "Modelhub:",
            f"  FF01:  # results go to FF01-{self.architecture}",
            f"    architecture: {self.architecture}",
            "    build_params:",
            "      dim_embedding: 64  # features of an atom; larger is slower and, with enough data, better",
            f"      num_rbf: {recipe.num_rbf}",
            "      max_Za: 94",
            f"      cutoff_sr: {cutoff:.4g}  # 5 Å",
            f"      Hartree_in_E: {self.energy[0]:.9g}  # energies are in {self.energy[1]}",
            f"      Bohr_in_R: {self.length[0]:.9g}  # positions are in {self.length[1]}",
            "    layers:",
        ]
        for layer in layers:
            lines.append(f"      - name: {layer}")
            if layer == "Core":
                lines.append(f"        params: {recipe.core}")
        weights = self.weights_by_forces if recipe.losses else self.weights
        return [*lines, "    loss:", *self._terms(6, weights, recipe.losses)]

    def _terms(self, indent: int, weights: Mapping[str, float], kinds: Mapping[str, str]) -> list[str]:
        margin = " " * indent
        by_kind: dict[str, list[str]] = {}
        for name in self.targets:
            weight = float(f"{weights.get(name, 1.0):.1g}")
            by_kind.setdefault(kinds.get(name, "rmse"), []).append(f"{margin}  {name}: {weight:g}")
        if self.has_charges:
            text = f"{margin}  Q: 1  # predicted charges should add up by themselves"
            by_kind.setdefault(kinds.get("Q", "rmse"), []).append(text)
        said = "  # weights per unit of each field, from their spread in some frames"
        lines: list[str] = []
        for kind, terms in by_kind.items():
            lines += [f"{margin}{kind}:{'' if lines else said}", *terms]
        return lines

    def _training(self) -> list[str]:
        recipe = RECIPES[self.architecture]
        size = recipe.batch_size or batch_size_for(round(_TRAINING * self.num_frames), self.atoms_per_frame)
        if (minutes := self.minutes or recipe.minutes) is None:
            length = "max_epochs: 100  # the learning rate falls to 0 over so many; after four the log says how long"
        else:
            length = f"max_time: {minutes:g}  # minutes, in which the learning rate falls to 0; more is better. CHECK"
        return [
            "Trainer:",
            f"  Splitter: {{parts: [training, validation, test], ratios: [{_TRAINING}, 0.1, 0.1]}}",
            f"  batch_size: {size}",
            *(f"  {line}" for line in recipe.trainer),
            f"  {length}",
            "Metrics:",
            *self._terms(2, self.weights, {}),
            "  mae:  # shown, without weight in the score",
            *(f"    {name}: 0" for name in self.targets),
        ]


def _quoted(text: str) -> str:
    return format_yaml({"": text}).partition(":")[2].strip()


def one_line(text: str) -> str:
    """Return a name without what would break a line or a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
