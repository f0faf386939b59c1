"""Parameters that suit the data before the first step of a new training."""

import torch

from pyg_nnp.config import Config
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.state import TrainingData

_SAMPLE = 10  # frames


def initialise_potential(potential: Potential, config: Config, name: str, data: TrainingData) -> None:
    """Let a potential suit its parameters to some frames of the training part, but one that was trained before."""
    if config.Modelhub.internal_FFs[name].pretrained is None:
        training = data.parts["training"]
        # from all of the part
        sample = training[torch.linspace(0, len(training) - 1, min(len(training), _SAMPLE)).long()]  # (n,)
        potential.train().initialise(data.dataset.batch(sample).to(potential.device))
