"""The potential that a training begins with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyg_nnp.config import Config
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import LAST, start_from
from pyg_nnp.potential.potential import Potential


@dataclass(frozen=True)
class InitialModel:
    """A potential before its training, with random parameters or those of a trained one.

    Attributes:
        name: of the model.
        potential: its potential.
        origin: lines for the log, which layers have the parameters of a trained potential.
    """

    name: str
    potential: Potential
    origin: Sequence[str] = ()


def build_initial(config: Config, name: str, out: Path) -> InitialModel:
    """Build a potential, with the parameters of a trained one where the configuration names it.

    Raises:
        ConfigError: something in the configuration of the model is not right.
        FieldError: its layers do not fit together.
    """
    potential = build_potential(config, name)
    pretrained = config.Modelhub.internal_FFs[name].pretrained
    # a training that is resumed has its own parameters, and the other model may be gone by then
    is_resumed = config.Trainer.resume and (out / config.folder_name(name) / LAST).exists()
    if pretrained is None or is_resumed:
        return InitialModel(name, potential)
    try:
        taken, left = start_from(potential, pretrained)
    except DataError as error:
        raise ConfigError(f"{config.source}: Modelhub.{name}.pretrained: {error}") from error
    rest = ", ".join(left) or "none"
    origin = (
        f"{name}: parameters taken from {pretrained}: {', '.join(taken)}.",
        f"{name}: parameters not taken, since there are none of these shapes: {rest}.",
    )
    return InitialModel(name, potential, origin)
