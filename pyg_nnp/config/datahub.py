"""Datahub: the data file, its fields, and what is done to them before training."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pyg_nnp.config.messages import shown
from pyg_nnp.config.section import Section, Text, problem
from pyg_nnp.errors import did_you_mean
from pyg_nnp.fields import FEATURES, FIELDS, MAY_BE_MISSING, TARGETS, WEIGHTS
from pyg_nnp.runtime.data_path import DataPath


def _source_names(value: Any) -> Any:
    """Fill in empty names: the data set's own name is the standard one."""
    if not isinstance(value, dict):
        return value
    return {key: key if source in (None, "") else source for key, source in value.items()}


def _check_paths(value: Any) -> Any:
    """Check a path, or a list of paths."""
    for number, path in enumerate(value) if isinstance(value, list) else [(None, value)]:
        where = () if number is None else (number,)
        if not isinstance(path, str):
            found = "but is empty" if path is None else f"found {shown(path)}"
            raise problem(f"expects text{'' if where else ', or a list of texts'}, {found}", *where)
        if not path:
            raise problem("is empty, but needed", *where)
    if value == []:
        raise problem("is empty, but needed")
    return value


def _check_standard_names(names: dict[str, str], allowed: tuple[str, ...], other: str) -> dict[str, str]:
    for key, source in names.items():
        if key in allowed:
            continue
        if key in (*FEATURES, *WEIGHTS, *TARGETS):
            raise problem(f"'{key}' is one of the {other}; move it to Datahub.{other}", key)
        if source in allowed:
            raise problem(f"the standard name comes first; write '{source}: {key}'", key)
        alias = next((f" Did you mean '{name}: {source}'?" for name in allowed if key in FIELDS[name].aliases), "")
        known = ", ".join(f"{name} ({FIELDS[name].meaning.partition(';')[0]})" for name in allowed)
        raise problem(f"unknown standard name.{alias or did_you_mean(key, allowed)} There are: {known}", key)
    return names


def _check_features(names: dict[str, str]) -> dict[str, str]:
    """Check the standard names of inputs and of weights in the loss."""
    _check_standard_names(names, (*FEATURES, *WEIGHTS), "targets")
    for required in ("Ra", "Za"):
        if required not in names:
            meaning = FIELDS[required].meaning
            raise problem(f"'{required}' is missing; write '{required}: ' and the name of the {meaning} in the data")
    if "pbc" in names and "cell" not in names:
        raise problem("periodic directions have a cell; write 'cell: ' and the name of the lattice vectors", "pbc")
    return names


def _check_targets(names: dict[str, str]) -> dict[str, str]:
    """Check the standard names of labels."""
    if not names:
        raise problem(f"at least one target is needed, of {', '.join(TARGETS)}")
    return _check_standard_names(names, TARGETS, "features")


class Transforms(Section):
    """Changes to the data before training."""

    atomic_energy: Text | None = Field(
        default=None,
        description="reference energies of atoms, subtracted from E: a CSV file with columns atom_type,atomic_energy "
        "in the unit of E; 'isolated': from frames of one neutral atom; or 'fit'",
    )
    negative_gradient: bool = Field(
        default=False, description="whether Fa of the data file holds gradients instead of forces"
    )
    total_energy_normalization: bool = Field(
        default=False, description="whether E is shifted to mean 0 over the training part while training"
    )


class Datahub(Section):
    """The data set."""

    other_names: ClassVar[dict[str, str]] = {"compressed": "compression"}

    data_path: Annotated[str | list[str], BeforeValidator(_check_paths)] = Field(
        description="data file, folder of such files, pattern such as 'run*/*.npz', or a list of these, relative to "
        "the working directory"
    )
    data_format: Literal["pickle", "npz", "hdf5", "qm9", "extxyz", "ase", "aselmdb"] | None = Field(
        default=None, description="format of all data files; null: the one that each seems to be of"
    )
    features: Annotated[dict[str, str], BeforeValidator(_source_names), AfterValidator(_check_features)] = Field(
        description="input of the potential: standard name, then name in the data file; Ra and Za are required"
    )
    targets: Annotated[dict[str, str], BeforeValidator(_source_names), AfterValidator(_check_targets)] = Field(
        description="labels to learn: standard name, then name in the data file"
    )
    allow_missing: list[str] = Field(
        default=[],
        description="targets that frames or atoms may lack; of the others each frame needs all numbers. Also Q, which "
        "is 0 where it is missing",
    )
    group_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={},
        description="group of frames, as features.group has it, then its weight in the loss; 1 for all other groups",
    )
    compression: bool = Field(default=True, description="whether what all frames share is stored once")
    preload: bool = Field(default=True, description="whether an earlier preprocessing of the same data is used again")
    in_memory: bool | None = Field(
        default=None,
        description="whether all data is held in memory, or read while training; null: held if half of what is free "
        "is enough",
    )
    transforms: Transforms = Field(default=Transforms(), description="changes to the data before training")

    @property
    def path(self) -> DataPath:
        """The data files."""
        return DataPath.of(self.data_path)

    @model_validator(mode="after")
    def _check_sources(self) -> "Datahub":
        places: dict[str, str] = {}
        for section, names in (("features", self.features), ("targets", self.targets)):
            for name, source in names.items():
                if source in places:
                    raise problem(f"'{source}' is already what {places[source]} is read from", section, name)
                places[source] = f"{section}.{name}"
        return self

    @model_validator(mode="after")
    def _check_stress(self) -> "Datahub":
        if "S" in self.targets and "cell" not in self.features:
            text = "stress is that of a cell; write 'cell: ' and the name of the lattice vectors in Datahub.features"
            raise problem(text, "targets", "S")
        return self

    @model_validator(mode="after")
    def _check_missing(self) -> "Datahub":
        for number, name in enumerate(self.allow_missing):
            known = [name for name in MAY_BE_MISSING if name in {**self.targets, **self.features}]
            if name not in known:
                text = f"'{name}' is none of the targets.{did_you_mean(name, known)} There are: {', '.join(known)}"
                raise problem(text, "allow_missing", number)
        return self

    @model_validator(mode="after")
    def _check_groups(self) -> "Datahub":
        if self.group_weights and "group" not in self.features:
            text = "the name of the groups in the data is missing; write 'group: ' and it in Datahub.features"
            raise problem(text, "group_weights")
        if "group" in self.features and not self.group_weights:
            text = "groups have no weights; give group_weights, such as '{bulk: 2.0}', or leave 'group' out"
            raise problem(text, "features", "group")
        return self
