"""Parameters that suit the data before the first step of a new training."""

import numpy as np
import torch
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.layers import Core
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.state import TrainingData
from pyg_nnp.training.thread_choice import choose_threads

_SAMPLE = 10  # frames
_LABELLED = 1000  # frames whose labels say how large outputs are


def initialise_potential(potential: Potential, config: Config, name: str, data: TrainingData) -> None:
    """Let a potential suit its parameters to some frames of the training part, but one that was trained before.

    Then the number of threads is chosen.
    """
    if config.Modelhub.internal_FFs[name].pretrained is None:
        training = data.parts["training"]
        potential.train().initialise(data.dataset.batch(_spaced(training, _SAMPLE)).to(potential.device))
        for layer in potential.layers:
            # frames are read for those alone that use what they say
            if isinstance(layer, Core) and type(layer).scale_outputs is not Core.scale_outputs:
                layer.scale_outputs(*output_scales(potential, data))
    choose_threads(potential, config.Trainer, config.Modelhub.internal_FFs[name].loss, data)


def output_scales(potential: Potential, data: TrainingData) -> tuple[float, float]:
    """Return how large atomic energies [energy] and charges [charge] are, by the labels of the training part.

    Energies of atoms have no labels: it is what the forces, in root mean square, make of 1 Å, since forces are what
    potentials learn most from; without forces, the standard deviation of the energies per atom, less references. Of
    charges it is the root mean square. What has no labels, or none but 0, has 1.
    """
    frames = _spaced(data.parts["training"], _LABELLED)
    forces, charges = (_root_mean_square(data, name, frames) for name in ("Fa", "Qa"))
    energy = forces / potential.units.likely_length or _spread_per_atom(data, frames, potential.atomic_energies)
    return energy or 1.0, charges or 1.0


def _spaced(frames: Tensor, number: int) -> Tensor:
    """Return (m,) evenly spaced ones of (n,) frames, ``number`` at most."""
    return frames[torch.linspace(0, len(frames) - 1, min(len(frames), number)).long()]  # (m,)


def _root_mean_square(data: TrainingData, name: str, frames: Tensor) -> float:
    """Return that of the labels of a field; 0 where there are none."""
    if name not in data.dataset.fields:
        return 0.0
    blocks = data.dataset.blocks([name], frames)
    squares = torch.cat([block[name].double().square().flatten() for block in blocks])
    return float(squares.nanmean().nan_to_num().sqrt())


def _spread_per_atom(data: TrainingData, frames: Tensor, references: Tensor) -> float:
    """Return the standard deviation of the energies per atom, less references; 0 where there are none."""
    summary = data.dataset.summary
    if not len(summary.E):
        return 0.0
    chosen = frames.numpy()
    chosen = chosen[np.isfinite(summary.E[chosen])]
    of_atoms = summary.counts[chosen] @ references.cpu().numpy()[summary.elements]
    return float(np.std((summary.E[chosen] - of_atoms) / summary.sizes[chosen])) if len(chosen) else 0.0
