"""The potential that a training begins with."""

import logging
from dataclasses import dataclass
from pathlib import Path

from pyg_nnp.config import Config
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import LAST, start_from
from pyg_nnp.potential.potential import Potential

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InitialModel:
    """A potential before its training.

    Attributes:
        name: of the model.
        potential: with random parameters, or those of a trained one.
        pretrained: where these are from, if there are any.
        taken: names of the layers that have them.
        left: names of the layers that do not.
    """

    name: str
    potential: Potential
    pretrained: str | None = None
    taken: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def log_pretrained(self) -> None:
        """Log which layers have the parameters of a trained potential."""
        if self.pretrained is not None:
            log.info("%s: parameters taken from %s: %s.", self.name, self.pretrained, ", ".join(self.taken))
            rest = ", ".join(self.left) or "none"
            log.info("%s: parameters not taken, since there are none of these shapes: %s.", self.name, rest)


def build_initial(config: Config, name: str, out: Path) -> InitialModel:
    """Build a potential, with the parameters of a trained one where the configuration names it.

    Args:
        config: the whole configuration.
        name: of the model.
        out: output folder.

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
    return InitialModel(name, potential, str(pretrained), tuple(taken), tuple(left))
