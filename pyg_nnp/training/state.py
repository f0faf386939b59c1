"""The whole state of a training: saved so that the run that goes on ends with the same bits as one never stopped."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.checkpoint import load_parameters, read_saved, save_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import Predictor

_MOST_DIFFERENCES = 5


@dataclass
class Best:
    """Early stopping: the best score so far and how long ago that was.

    A score that is not finite is never an improvement.

    Attributes:
        patience: epochs without improvement to wait for; None: all.
        score: the best one.
        epoch: which had it.
        sha256: digest of the file with its potential.
    """

    patience: int | None
    score: float = math.inf
    epoch: int = 0
    sha256: str | None = None

    def improves(self, score: float, epoch: int) -> bool:
        """Say whether this score is the best so far, and remember it if so."""
        better = math.isfinite(score) and score < self.score
        if better:
            self.score, self.epoch = score, epoch
        return better

    def exhausted(self, epoch: int) -> bool:
        """Say whether there was no improvement for ``patience`` epochs."""
        return self.patience is not None and epoch - self.epoch >= self.patience


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        best: the best epoch.
        order: state of the generator of the order of frames, as it was when the epoch began.
        steps: number of steps of an epoch.
        epoch: the one that is under way, counted from 1.
        step: its optimiser steps that were taken.
        loss: sum of the losses of their frames.
    """

    best: Best
    order: Tensor
    steps: int
    epoch: int = 1
    step: int = 0
    loss: float = 0.0

    @property
    def taken(self) -> int:
        """Steps that were taken since the training began."""
        return (self.epoch - 1) * self.steps + self.step


@dataclass
class Training:
    """What changes while a potential is trained.

    Attributes:
        potential: on the device and in the precision to train in.
        optimizer: of its parameters.
        progress: how far it is.
        protocol: all of configuration and data that must be the same for a run to go on, as nested dicts.
        random: states of the global generators after the last step; a step that is interrupted draws from them, too.
    """

    potential: Potential
    optimizer: Optimizer
    progress: Progress
    protocol: Mapping[str, Any] = field(default_factory=dict)
    random: "RandomState" = field(init=False)

    def __post_init__(self) -> None:
        self.remember_random_state()

    def remember_random_state(self) -> None:
        """Note that a step, or what comes between two, is over."""
        self.random = RandomState.now(self.potential.device)


@dataclass(frozen=True)
class RandomState:
    """States of python's, numpy's and PyTorch's generators, which layers of users may draw from."""

    python: Any
    numpy: Any
    pytorch: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "RandomState":
        """Return the present states."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state(), cuda)

    def to_save(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what goes into JSON, and tensors."""
        keys = {**self.numpy["state"], "key": self.numpy["state"]["key"].tolist()}
        tensors = {"training.random": self.pytorch} | ({} if self.cuda is None else {"training.random_cuda": self.cuda})
        return {"python": self.python, "numpy": {**self.numpy, "state": keys}}, tensors

    @staticmethod
    def set_saved(saved: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set the generators to what :meth:`to_save` returned."""
        version_, numbers, gauss = saved["python"]
        random.setstate((version_, tuple(numbers), gauss))
        np.random.set_state(saved["numpy"])
        torch.set_rng_state(tensors["training.random"])
        if "training.random_cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["training.random_cuda"])


def save_training(training: Training, path: Path, about: Mapping[str, Any]) -> None:
    """Save the potential with all that its training goes on from.

    Args:
        training: between two steps.
        path: of the file.
        about: more to be written into the JSON.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    progress = training.progress
    known, tensors = training.random.to_save()
    tensors["training.order"] = progress.order
    for index, state in training.optimizer.state_dict()["state"].items():
        tensors |= {f"training.optimizer.{index}.{name}": value for name, value in state.items()}
    saved = {
        "epoch": progress.epoch,
        "step": progress.step,
        "loss": progress.loss,
        "best": {key: getattr(progress.best, key) for key in ("epoch", "score", "sha256")},
        "random": known,
        "protocol": training.protocol,
        "environment": environment(training.potential),
    }
    save_potential(training.potential, path, {**about, "training": saved}, tensors)


def restore_training(training: Training, path: Path, place: str) -> list[str]:
    """Put a training where it was when it was saved.

    Args:
        training: as it is before the first step.
        path: what :func:`save_training` wrote.
        place: what to call the configuration in messages.

    Returns:
        What differs from then in the environment, and may change the last bits.

    Raises:
        ConfigError: configuration or data are not the same any more; nothing was restored.
        DataError: the file is damaged.
    """
    description, tensors = read_saved(path)
    try:
        saved = description["training"]
        refuse_changes(saved["protocol"], training.protocol, path, place)
        load_parameters(training.potential, description, tensors)
        _restore_optimizer(training.optimizer, tensors)
        progress = training.progress
        progress.epoch, progress.step, progress.loss = saved["epoch"], saved["step"], saved["loss"]
        progress.best.epoch = saved["best"]["epoch"]
        progress.best.score = math.inf if saved["best"]["score"] is None else saved["best"]["score"]
        progress.best.sha256 = saved["best"].get("sha256")
        progress.order = tensors["training.order"]
        RandomState.set_saved(saved["random"], tensors)
        training.remember_random_state()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: this holds no training to go on with: {error!r}. Start a new one.") from error
    return list(differences(saved["environment"], environment(training.potential)))


def refuse_changes(saved: Mapping[str, Any], protocol: Mapping[str, Any], path: Path, place: str) -> None:
    """Refuse to go on with another training than the one that was saved.

    Args:
        saved: all of configuration and data that the saved training depends on.
        protocol: the same of the present one.
        path: of what was saved.
        place: what to call the configuration in messages.

    Raises:
        ConfigError: they differ.
    """
    found = list(differences(saved, protocol))
    if found:
        more = len(found) - _MOST_DIFFERENCES
        listed = "; ".join(found[:_MOST_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
        raise ConfigError(
            f"{place}: {path} cannot go on, since this is not the training that was stopped: {listed}. "
            "Put back what was changed, or start a new training with another -o or suffix; with pretrained in the "
            "model it begins with the parameters of this one."
        )


def _restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("training.optimizer."):
            index, _, what = name.removeprefix("training.optimizer.").partition(".")
            states.setdefault(int(index), {})[what] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def environment(potential: Predictor) -> dict[str, Any]:
    """Return what the last bits of results depend on."""
    return {
        "device": potential.device.type,
        "threads": torch.get_num_threads(),
        "pyg-nnp": version("pyg-nnp"),
        "torch": torch.__version__,
    }


def differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Say what differs between two nested dicts."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            yield from differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} was {before} and is {now}"
