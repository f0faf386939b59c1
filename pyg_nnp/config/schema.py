"""The configuration file as a whole: its sections, and what they must agree in."""

from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator

from pyg_nnp.config import datahub, modelhub, trainer
from pyg_nnp.config.loss import MetricWeights, Weights
from pyg_nnp.config.messages import explained
from pyg_nnp.config.section import Section, problem
from pyg_nnp.config.yaml_reader import format_yaml, read_yaml
from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.fields import TARGETS
from pyg_nnp.units import Units


class Config(Section):
    """A whole configuration file."""

    other_names: ClassVar[dict[str, str]] = {"Metric": "Metrics"}
    advice = " The keys of Trainer may also stand here."
    moved_names = (*trainer.Trainer.model_fields,)
    places: ClassVar[dict[str, type[Section]]] = {
        "Datahub": datahub.Datahub,
        "Datahub.transforms": datahub.Transforms,
        "a model in Modelhub": modelhub.ForceField,
        "Trainer": trainer.Trainer,
        "Trainer.Splitter": trainer.Splitter,
    }

    Datahub: datahub.Datahub = Field(description="the data set")
    Modelhub: modelhub.Modelhub = Field(description="the models")
    Trainer: trainer.Trainer = Field(default=trainer.Trainer(), description="how the models are trained")
    Metrics: MetricWeights = Field(
        default_factory=dict,
        validate_default=True,
        description="function (rmse, mae), then field, then its weight >= 0 in the score of validation; "
        "when left out, rmse with weight 1 for each target",
    )
    _source: str = PrivateAttr("configuration")

    @property
    def source(self) -> str:
        """Name of the file, for messages."""
        return self._source

    @property
    def units(self) -> Units:
        """The units of the data: each as the first model says it that does, active ones first."""
        models = sorted(self.Modelhub.internal_FFs.values(), key=lambda model: not model.active)
        return reduce(Units.or_else, (model.units for model in models))

    def folder_name(self, name: str) -> str:
        """Return the name of the folder of the model called ``name``: ``NAME-ARCHITECTURE[-suffix]``."""
        return self.Modelhub.internal_FFs[name].folder_name(name)

    def __eq__(self, other: object) -> bool:
        # the same configuration from two files is the same
        return isinstance(other, Config) and self.model_dump() == other.model_dump()

    @classmethod
    def respell(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Move keys of Trainer that stand at the top level into Trainer."""
        within = {} if value.get("Trainer") is None else value["Trainer"]
        loose = {key: part for key, part in value.items() if key in cls.moved_names}
        if not loose or not isinstance(within, dict):
            return value
        for key in loose:
            if key in within:
                raise problem("the key is given both in Trainer and at the top level", "Trainer", key)
        return {key: part for key, part in value.items() if key not in loose} | {"Trainer": within | loose}

    @field_validator("Metrics", mode="before")
    @classmethod
    def _default_metrics(cls, value: Any, info: ValidationInfo) -> Any:
        if value not in (None, {}):
            return value
        # where Datahub has problems of its own, those are what is reported
        targets = info.data["Datahub"].targets if "Datahub" in info.data else TARGETS
        return {"rmse": dict.fromkeys(targets, 1.0)}

    @model_validator(mode="after")
    def _check_labels(self) -> "Config":
        for name, model in self.Modelhub.internal_FFs.items():
            _check_terms(model.loss, self.Datahub.targets, "Modelhub", name, "loss")
        _check_terms(self.Metrics, self.Datahub.targets, "Metrics")
        return self


def _check_terms(weights: Weights, targets: Iterable[str], *where: str) -> None:
    """Check that there is a label for each field that predictions are compared with."""
    for function, terms in weights.items():
        for name in terms:
            if name in targets or name == "Q":
                continue
            given = ", ".join(targets)
            if name in TARGETS:
                text = f"the label '{name}' is missing from Datahub.targets, which has: {given}; add it or remove this"
            else:
                near = did_you_mean(name, [*targets, "Q"])
                text = f"'{name}' is no field with labels.{near} Datahub.targets has: {given}; Q can be used, too"
            raise problem(text, *where, function, name)


def load_config(path: str | Path) -> Config:
    """Read a configuration file, YAML.

    Raises:
        ConfigError: the file cannot be read, or is no valid configuration; names the first problems.
    """
    return config_from_dict(read_yaml(Path(path)), str(path))


def config_from_dict(document: Any, source: str = "configuration") -> Config:
    """Check a configuration that was read already, in any of the accepted spellings; ``source`` is for messages.

    Raises:
        ConfigError: not a valid configuration; names the first problems.
    """
    if document is None:
        raise ConfigError(f"{source}: the file is empty; it needs the sections Datahub and Modelhub.")
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explained(error, Config)}") from error
    config._source = source
    return config


def dump_config(config: Config) -> str:
    """Return the canonical YAML of a configuration: all keys in the order of the schema, defaults written out."""
    return format_yaml(config.model_dump())
