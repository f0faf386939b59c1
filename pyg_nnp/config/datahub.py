"""Datahub: the data file, its fields, and what is done to them before training."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from pyg_nnp.config.messages import problem
from pyg_nnp.config.section import Section
from pyg_nnp.config.types import SourceNames, Text, check_features, check_targets


class Transforms(Section):
    """Changes to the data before training."""

    atomic_energy: Text | None = Field(
        default=None,
        description="CSV file with columns atom_type,atomic_energy in the unit of E, or 'fit'; subtracted from E",
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

    data_path: Text = Field(description="data file, relative to the working directory")
    data_format: Literal["pickle", "npz", "hdf5", "extxyz", "ase"] = Field(description="format of the data file")
    features: Annotated[dict[str, str], SourceNames, AfterValidator(check_features)] = Field(
        description="input of the potential: standard name, then name in the data file; Ra and Za are required"
    )
    targets: Annotated[dict[str, str], SourceNames, AfterValidator(check_targets)] = Field(
        description="labels to learn: standard name, then name in the data file"
    )
    compression: bool = Field(default=True, description="whether what all frames share is stored once")
    preload: bool = Field(default=True, description="whether an earlier preprocessing of the same data is used again")
    in_memory: bool | None = Field(
        default=None,
        description="whether all data is held in memory, or read while training; null: held if half of what is free "
        "is enough",
    )
    transforms: Transforms = Field(default=Transforms(), description="changes to the data before training")

    @model_validator(mode="after")
    def _check_sources(self) -> "Datahub":
        places: dict[str, str] = {}
        for section, names in (("features", self.features), ("targets", self.targets)):
            for name, source in names.items():
                if source in places:
                    raise problem(f"'{source}' is already what {places[source]} is read from", section, name)
                places[source] = f"{section}.{name}"
        return self
