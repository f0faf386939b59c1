"""Trainer: how the data set is divided and the models are trained."""

import math
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pyg_nnp.config.messages import shown
from pyg_nnp.config.section import Precision, Section, Seed, Text, problem


def _check_ratio(value: Any) -> Any:
    """Check one ratio; -1 becomes None."""
    if value is None or (type(value) is int and value == -1):
        return None
    if type(value) not in (int, float):
        raise problem(f"expects a share, a count, or null, found {shown(value)}")
    if not math.isfinite(value) or value <= 0:
        raise problem(f"expects a share or a count greater than 0, found {shown(value)}; leave a part of 0 out")
    return value


Paths = Annotated[
    list[Text] | None,
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    AfterValidator(lambda value: value or None),
]
Ratio = Annotated[float | int | None, BeforeValidator(_check_ratio)]


_WITH_FILES = ("training", "validation", "test")


class Splitter(Section):
    """How the data set is divided."""

    other_names: ClassVar[dict[str, str]] = {"ratio": "ratios"}

    method: Literal["random", "order", "formula", "group", "files", "index"] = Field(
        default="random",
        description="how frames are chosen for the parts: random; order, the first frames of the data for the first "
        "part and so on; formula or group, at random with all frames of a formula, or with one value of group, in one "
        "part; files, by training, validation and test; or index, by index_file",
    )
    group: Text | None = Field(
        default=None,
        description="with method: group, the name of a text or a number of each frame in the data, such as smiles",
    )
    training: Paths = Field(
        default=None, description="with method: files, those of data_path that are for training, as paths or patterns"
    )
    validation: Paths = Field(default=None, description="with method: files, those for validation")
    test: Paths = Field(default=None, description="with method: files, those for the errors at the end")
    index_file: Text | None = Field(
        default=None,
        description="with method: index, a JSON file with the numbers of the frames of each part, counted from 0: "
        '{"training": [0, 2], "test": [1]}',
    )
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
        if (self.index_file is None) == (self.method == "index"):
            text = "'index_file' says which frames the parts have; give it with method: index, and with no other"
            raise problem(text, "index_file")
        if (self.group is None) == (self.method == "group"):
            text = "'group' says which frames are in one part; give it with method: group, and with no other"
            raise problem(text, "group")
        self._check_files()
        if self.method in ("index", "files"):
            if self.ratios != Splitter.model_fields["ratios"].default:
                which = "index_file says" if self.method == "index" else "files say"
                raise problem(f"{which} how many frames the parts have; leave 'ratios' out", "ratios")
        elif len(self.parts) != len(self.ratios):
            raise problem(f"{len(self.ratios)} ratios for {len(self.parts)} parts; give one for each", "ratios")
        return self

    @classmethod
    def respell(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Take the names of the parts from what has files."""
        if value.get("method") != "files":
            return value
        return {"parts": [part for part in _WITH_FILES if value.get(part)], **value}

    def _check_files(self) -> None:
        given = [part for part in _WITH_FILES if getattr(self, part)]
        if self.method != "files" and given:
            raise problem(
                f"'{given[0]}' names files of a part; give it with method: files, and with no other", given[0]
            )
        if self.method == "files" and given != self.parts:
            raise problem(f"method: files has the parts with files, {', '.join(given)}; leave 'parts' out", "parts")

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


_Splitter: TypeAlias = Splitter  # in Trainer this is the name of a key


class Trainer(Section):
    """How the models are trained."""

    Splitter: _Splitter = Field(default=_Splitter(), description="how the data set is divided")
    batch_size: int = Field(default=32, gt=0, description="frames per optimiser step")
    cuda: bool = Field(default=True, description="whether to train on a GPU, where there is one")
    dtype: Precision = Field(default="float32", description="precision of data and model: float32 or float64")
    schedule: Literal["linear", "constant", "cosine", "plateau"] = Field(
        default="linear",
        description="how the learning rate goes on after warm-up: to 0 linearly, not at all, to 0 as a cosine, or to "
        "half of it whenever the validation score is not better for plateau_patience epochs",
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="decay of the averages of the weights, such as 0.999, which are then validated and saved as best; "
        "null: no averages",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="largest learning rate")
    max_epochs: int = Field(default=1000, gt=0, description="epochs at most; without meaning where max_time is set")
    max_time: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="minutes that the training of a model takes, validation included: warm-up, schedule and end follow "
        "the clock; null: max_epochs",
    )
    max_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="gradients whose norm, of all together, is larger are scaled down to it; null: never"
    )
    num_workers: int = Field(
        default=0, ge=0, description="processes that read data from disk; 0: the training process does"
    )
    optimizer: Literal["adam", "adamw", "muon"] = Field(
        default="adam",
        description="adam, adamw, or muon: Muon for weights that take features to features, AdamW for all others",
    )
    patience: Annotated[int, Field(gt=0)] | None = Field(
        default=50, description="epochs without a better validation score before training stops; null: never"
    )
    plateau_patience: int = Field(
        default=10, gt=0, description="epochs without a better score before schedule: plateau halves the learning rate"
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
    weight_decay: float = Field(
        default=0.0, ge=0, description="share of the weights, times the learning rate, that adamw or muon takes off"
    )

    @model_validator(mode="after")
    def _check_optimizer(self) -> "Trainer":
        if self.weight_decay and self.optimizer == "adam":
            raise problem("adam has no decay of weights apart from its steps; set optimizer: adamw", "weight_decay")
        if self.schedule == "plateau" and "validation" not in self.Splitter.parts:
            raise problem("'plateau' follows the validation score, but Splitter has no part 'validation'", "schedule")
        return self
