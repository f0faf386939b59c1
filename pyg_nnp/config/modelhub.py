"""Modelhub: the models, their layers and losses."""

import re
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from pyg_nnp.config.loss import Loss
from pyg_nnp.config.messages import shown
from pyg_nnp.config.section import Options, Section, Text, problem
from pyg_nnp.units import Units


class LayerEntry(Section):
    """A layer of a model."""

    advice = " Options of a layer go under its params."

    name: Text = Field(description="name of the layer, or package.module:Class for your own; Core is the architecture")
    params: Options = Field(default_factory=dict, description="options of this layer; they go before build_params")


class ForceField(Section):
    """A model."""

    advice = " Hyperparameters go under build_params."

    suffix: str | None = Field(default=None, description="last part of the name of the model's folder")
    architecture: Text = Field(description="the core: SchNet, PaiNN, Cartesian, or package.module:Class for your own")
    active: bool = Field(default=True, description="whether the model is trained")
    pretrained: Text | None = Field(
        default=None, description="trained model, a folder or file; layers that are the same begin with its parameters"
    )
    build_params: Options = Field(default_factory=dict, description="options for all layers that take them")
    layers: Annotated[list[LayerEntry], Field(min_length=1)] = Field(description="layers in the order of computation")
    loss: Loss = Field(
        description="function, then field, then weight >= 0, or {from: 1, to: 0.1} where it changes linearly over the "
        "training: rmse, mae, mse, huber_DELTA (huber_0.01: the Huber loss with delta 0.01, in the unit of the field), "
        "l2norm (mean length of the errors of vectors), and rmse_per_atom, mae_per_atom, mse_per_atom, "
        "huber_DELTA_per_atom (of molecules, divided by their numbers of atoms)"
    )

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
