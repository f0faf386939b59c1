"""The schema of the configuration file: every key, its type, its default, and what it means."""

import math
import re
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pyg_nnp.config.messages import plain_words, problem, shown
from pyg_nnp.config.types import (
    Loss,
    MetricWeights,
    Options,
    Precision,
    Ratio,
    Seed,
    SourceNames,
    Text,
    check_features,
    check_targets,
)
from pyg_nnp.config.yaml_reader import format_yaml, read_yaml
from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.fields import TARGETS
from pyg_nnp.units import Units

MAX_PROBLEMS = 10
"""Problems that one message lists."""


class Section(BaseModel):
    """A mapping with known keys; any other key is an error.

    Attributes:
        other_names: other spellings of keys, with the one that the schema has.
        advice: what to tell a user who gives an unknown key.
        places: of a whole file: what to call its sections when a key stands in the wrong one.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, validate_assignment=True)
    other_names: ClassVar[dict[str, str]] = {}
    advice: ClassVar[str] = ""
    places: ClassVar[dict[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, value: Any) -> Any:
        if value is None and not any(field.is_required() for field in cls.model_fields.values()):
            return {}
        if not isinstance(value, dict):
            return value
        for other, name in cls.other_names.items():
            if other in value and name in value:
                raise problem(f"'{other}' and '{name}' mean the same; give one of them")
        return cls.respell({cls.other_names.get(key) or key: part for key, part in value.items()})

    @classmethod
    def respell(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Return the section in its canonical structure."""
        return value


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

    other_names = {"compressed": "compression"}

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


class LayerEntry(Section):
    """A layer of a model."""

    advice = " Options of a layer go under its params."

    name: Text = Field(description="name of the layer, or package.module:Class for your own; Core is the architecture")
    params: Options = Field(default_factory=dict, description="options of this layer; they go before build_params")


class ForceField(Section):
    """A model."""

    advice = " Hyperparameters go under build_params."

    suffix: str | None = Field(default=None, description="last part of the name of the model's folder")
    architecture: Text = Field(description="the core: SchNet, or package.module:Class for your own")
    active: bool = Field(default=True, description="whether the model is trained")
    pretrained: Text | None = Field(
        default=None, description="trained model, a folder or file; layers that are the same begin with its parameters"
    )
    build_params: Options = Field(default_factory=dict, description="options for all layers that take them")
    layers: Annotated[list[LayerEntry], Field(min_length=1)] = Field(description="layers in the order of computation")
    loss: Loss = Field(description="function (rmse, mae, mse), then field, then weight >= 0")

    @field_validator("architecture")
    @classmethod
    def _check_architecture(cls, value: str) -> str:
        if not re.fullmatch(r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:)?[A-Za-z_]\w*", value, re.ASCII):
            raise problem(f"expects a name such as SchNet, or package.module:Class, found {shown(value)}")
        return value

    @field_validator("suffix")
    @classmethod
    def _check_suffix(cls, value: str | None) -> str | None:
        if value:
            _check_folder_part(value)
        return value or None

    @property
    def units(self) -> Units:
        """The units of the data, as far as ``build_params`` says them."""
        return Units.of(self.build_params)

    def folder_name(self, name: str) -> str:
        """Return the name of the folder of the model called ``name``: ``NAME-ARCHITECTURE[-suffix]``."""
        return "-".join(filter(None, (name, self.architecture.rpartition(":")[2], self.suffix)))


def _check_folder_part(text: str, *where: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", text):
        allowed = "up to 100 letters, digits, '_', '-' and '.', and does not start with '.'"
        raise problem(f"{text[:60]!r} becomes part of a folder's name, which has {allowed}", *where)


class Modelhub(Section):
    """The models."""

    advice = " A model stands under a name of your choice."

    internal_FFs: dict[str, ForceField] = Field(description="the models, each under a name of your choice")  # noqa: N815

    @classmethod
    def respell(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Move models that stand directly in Modelhub to ``internal_FFs``."""
        models = value.get("internal_FFs", {})
        reserved = {"internal_FFs", *ForceField.model_fields}
        direct = {key: part for key, part in value.items() if key not in reserved and not _holds_models(part)}
        if not direct or not isinstance(models, dict | None):
            return value
        for name in direct:
            if name in (models or {}):
                raise problem("the model is given both in internal_FFs and directly", "internal_FFs", name)
        return {key: part for key, part in value.items() if key not in direct} | {
            "internal_FFs": (models or {}) | direct
        }

    @model_validator(mode="after")
    def _check_models(self) -> "Modelhub":
        folders: dict[str, str] = {}
        for name, model in self.internal_FFs.items():
            _check_folder_part(name, "internal_FFs", name)
            folder = model.folder_name(name)
            # some file systems do not tell case apart
            if folder.lower() in folders:
                other = folders[folder.lower()]
                raise problem(f"its folder {folder} is also that of {other}; change a suffix", "internal_FFs", name)
            folders[folder.lower()] = name
        if not any(model.active for model in self.internal_FFs.values()):
            raise problem("at least one model must be active; set 'active: true' in it")
        return self


def _holds_models(value: Any) -> bool:
    """Tell whether a value looks like ``internal_FFs`` itself, under a name that is misspelt."""
    return isinstance(value, dict) and any(
        isinstance(part, dict) and not part.keys().isdisjoint(ForceField.model_fields) for part in value.values()
    )


class Splitter(Section):
    """How the data set is divided."""

    other_names = {"ratio": "ratios"}

    method: Literal["random"] = Field(default="random", description="how frames are chosen for the parts")
    parts: list[Text] = Field(
        default=["training", "validation", "test"],
        description="names of the parts; training is required, validation and test have their roles, others are saved",
    )
    ratios: list[Ratio] = Field(
        default=[0.8, 0.1, 0.1],
        description="for each part a share (0.8), a number of frames (800), or null: all that is left",
    )
    seed: Seed = Field(default=42, description="seed of the division alone")
    save: bool = Field(default=True, description="whether the division is saved beside the processed data")
    preload: bool = Field(
        default=True, description="whether a saved division of the same data and settings is used again"
    )

    @model_validator(mode="after")
    def _check_parts(self) -> "Splitter":
        for number, part in enumerate(self.parts):
            if part in self.parts[:number]:
                raise problem(f"'{part}' is given twice", "parts", number)
        if "training" not in self.parts:
            raise problem(f"'training' is missing among {', '.join(self.parts) or 'no parts'}", "parts")
        if len(self.parts) != len(self.ratios):
            raise problem(f"{len(self.ratios)} ratios for {len(self.parts)} parts; give one for each", "ratios")
        return self

    @model_validator(mode="after")
    def _check_ratios(self) -> "Splitter":
        shares = [ratio for ratio in self.ratios if isinstance(ratio, float)]
        for number, ratio in enumerate(self.ratios):
            if isinstance(ratio, float) and ratio > 1:
                raise problem(f"a share is at most 1, found {ratio:g}; write a count without a point", "ratios", number)
            if ratio is None and None in self.ratios[:number]:
                raise problem("only one part can take the rest", "ratios", number)
        if (total := math.fsum(shares)) > 1 + 1e-9:
            raise problem(f"the shares add up to {total:.6g}; they may not exceed 1", "ratios")
        if total > 1 - 1e-9 and len(shares) < len(self.ratios):
            raise problem("the shares add up to 1, which leaves nothing for the other parts", "ratios")
        return self


# In Trainer and in Config these names are those of attributes.
_Splitter: TypeAlias = Splitter
_Datahub: TypeAlias = Datahub
_Modelhub: TypeAlias = Modelhub


class Trainer(Section):
    """How the models are trained."""

    Splitter: _Splitter = Field(default=_Splitter(), description="how the data set is divided")
    batch_size: int = Field(default=32, gt=0, description="frames per optimiser step")
    cuda: bool = Field(default=True, description="whether to train on a GPU, where there is one")
    dtype: Precision = Field(default="float32", description="precision of data and model: float32 or float64")
    schedule: Literal["linear", "constant", "cosine"] = Field(
        default="linear",
        description="how the learning rate goes on after warm-up: to 0 linearly, not at all, or as a cosine",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="largest learning rate of Adam")
    max_epochs: int = Field(default=1000, gt=0, description="epochs at most")
    max_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="gradients whose norm, of all together, is larger are scaled down to it; null: never"
    )
    num_workers: int = Field(
        default=0, ge=0, description="processes that read data from disk; 0: the training process does"
    )
    patience: Annotated[int, Field(gt=0)] | None = Field(
        default=50, description="epochs without a better validation score before training stops; null: never"
    )
    report: bool = Field(default=True, description="whether report.html and plots are made when training is over")
    resume: bool = Field(
        default=False, description="whether a training that was stopped goes on, if its output folder has one"
    )
    seed: Seed = Field(default=42, description="seed of initial weights and of the order of frames")
    tensorboard: bool = Field(default=False, description="whether each epoch is logged for TensorBoard")
    warmup_ratio: float = Field(
        default=0.0, ge=0, le=1, description="share of all steps in which the learning rate rises from 0"
    )


_Trainer: TypeAlias = Trainer


class Config(Section):
    """A whole configuration file.

    Attributes:
        source: name of the file, for messages.
    """

    other_names = {"Metric": "Metrics"}
    advice = " The keys of Trainer may also stand here."
    places = {
        "Datahub": Datahub,
        "Datahub.transforms": Transforms,
        "a model in Modelhub": ForceField,
        "Trainer": Trainer,
        "Trainer.Splitter": Splitter,
    }

    Datahub: _Datahub = Field(description="the data set")
    Modelhub: _Modelhub = Field(description="the models")
    Trainer: _Trainer = Field(default=_Trainer(), description="how the models are trained")
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
        trainer = {} if value.get("Trainer") is None else value["Trainer"]
        loose = {key: part for key, part in value.items() if key in _Trainer.model_fields}
        if not loose or not isinstance(trainer, dict):
            return value
        for key in loose:
            if key in trainer:
                raise problem("the key is given both in Trainer and at the top level", "Trainer", key)
        return {key: part for key, part in value.items() if key not in loose} | {"Trainer": trainer | loose}

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


def _check_terms(weights: dict[str, dict[str, float]], targets: Iterable[str], *where: str) -> None:
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
    """Read a configuration file.

    Args:
        path: a YAML file.

    Raises:
        ConfigError: the file cannot be read, or is no valid configuration; names the first problems.
    """
    return config_from_dict(read_yaml(Path(path)), str(path))


def config_from_dict(document: Any, source: str = "configuration") -> Config:
    """Check a configuration that was read already.

    Args:
        document: what the YAML file holds, in any of the accepted spellings.
        source: name of the file, for messages.

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


def explained(error: ValidationError, root: type[Section]) -> str:
    """Return what is wrong in a file, one a line; unknown keys first: what is missing is often one of them misspelt."""
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    lines = [_line(detail, root) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        lines.append(f"and {len(details) - MAX_PROBLEMS} more.")
    return "\n  ".join(lines)


def _line(detail: ErrorDetails, root: type[Section]) -> str:
    """Return place and detail in plain words."""
    place, key, kind = detail["loc"], detail["loc"][-1] if detail["loc"] else "", detail["type"]
    if kind == "config":
        place, text = (*place, *detail["ctx"]["where"]), detail["ctx"]["text"]
    elif kind == "extra_forbidden":
        place, text = place[:-1], _unknown(str(key), _section_at(place[:-1], root), root)
    elif kind == "missing":
        place = place[:-1]
        text = f"'{key}' is missing: {_section_at(place, root).model_fields[str(key)].description}"
    else:
        text = plain_words(detail)
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _shortened(place))
    return f"{written.removeprefix('.')}{': ' if written else ''}{text}{'' if text.endswith('?') else '.'}"


def _shortened(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Leave out ``internal_FFs``, which may be left out in the file, and pydantic's mark for a key."""
    return tuple(part for number, part in enumerate(place) if (number, part) != (1, "internal_FFs") and part != "[key]")


def _section_at(place: tuple[str | int, ...], root: type[Section]) -> type[Section]:
    kind: Any = root
    for key in place:
        kind = kind.model_fields[key].annotation if hasattr(kind, "model_fields") else get_args(kind)[-1]
        if isinstance(kind, UnionType):  # a section that may be left out
            (kind,) = (part for part in get_args(kind) if part is not NoneType)
    return cast(type[Section], kind)


def _unknown(key: str, section: type[Section], root: type[Section]) -> str:
    """Return what to say of a key that the section does not have."""
    known = [*section.model_fields, *section.other_names, *(Trainer.model_fields if section is Config else ())]
    places = (place for place, other in root.places.items() if key in other.model_fields or key in other.other_names)
    near = next((f" It belongs under {place}." for place in places), did_you_mean(key, known))
    return f"unknown key '{key}'.{near} It takes: {', '.join(section.model_fields)}.{section.advice}".removesuffix(".")
