"""How each architecture is trained in a configuration to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyg_nnp.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Recipe:
    """What ``pyg-nnp init`` writes for an architecture.

    Attributes:
        radial: the layer of radial basis functions.
        num_rbf: number of these functions.
        core: options of the core, as in YAML.
        has_affine: whether the layer ``AtomicAffine`` comes after the core.
        trainer: lines of ``Trainer``, without batch size and length.
        minutes: how long it is trained, if nothing else is asked for; None: ``max_epochs``.
        losses: target -> kind of its error in the loss, of those whose error is no root mean square.
        batch_size: frames of a step; None: by :func:`batch_size_for`.
    """

    radial: str
    num_rbf: int
    core: str
    has_affine: bool
    trainer: tuple[str, ...]
    minutes: float | None
    losses: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None


_BY_THE_CLOCK = (
    "schedule: linear",
    "warmup_ratio: 0.02",
    "max_norm: 10  # larger gradients are scaled down",
    "ema: 0.999  # averages of the weights are validated and saved",
    "patience: null  # most is gained at the end, when the learning rate is small",
)
_OF_NORMS = {"Fa": "l2norm", "E": "mae_per_atom"}
RECIPES = {
    "Cartesian": Recipe(
        radial="BesselBasis",
        num_rbf=20,
        core="{num_interactions: 2, hidden_channels: 64}",
        # the references are fitted, and the core scales its energies
        has_affine=False,
        trainer=("optimizer: muon", "learning_rate: 1e-2", *_BY_THE_CLOCK),
        minutes=10.0,
        losses=_OF_NORMS,
    ),
    "PaiNN": Recipe(
        radial="BesselBasis",
        num_rbf=20,
        core="{num_interactions: 3}",
        has_affine=True,
        trainer=("optimizer: adamw", "learning_rate: 2e-3", *_BY_THE_CLOCK),
        minutes=10.0,
        losses=_OF_NORMS,
    ),
    "SchNet": Recipe(
        radial="GaussianSmearing",
        num_rbf=32,
        core="{num_interactions: 3, hidden_channels: 64}",
        has_affine=True,
        trainer=("learning_rate: 5e-3", "schedule: cosine", "warmup_ratio: 0.02"),
        minutes=None,
        batch_size=10,
    ),
}
"""Architecture -> how it is trained; the first is what ``init`` writes if it is not told otherwise."""
DEFAULT = next(iter(RECIPES))

_STEPS_OF_EPOCH = 200
_FEWEST_ATOMS, _MOST_ATOMS = 100, 600  # of a step


def recipe_of(architecture: str) -> Recipe:
    """Return the recipe of an architecture; a :class:`ConfigError` says which there are."""
    if architecture not in RECIPES:
        raise ConfigError(
            f"--architecture {architecture}: init has no recipe for it.{did_you_mean(architecture, RECIPES)} "
            f"There are: {', '.join(RECIPES)}."
        )
    return RECIPES[architecture]


def batch_size_for(num_frames: int, atoms_per_frame: float) -> int:
    """Return the frames of a step for a training part of ``num_frames``, to be trained for a time.

    In a given time many steps of few frames bring more than few steps of many, as long as all frames are seen often:
    so an epoch has about 200 steps, which is 5 frames for 1000. A step takes no less time with fewer than some 100
    atoms, when the optimiser and calls are most of it, and frames beyond 600 atoms add time and little else. Of a small
    set an epoch has 10 steps at least.
    """
    frames = max(num_frames / _STEPS_OF_EPOCH, _FEWEST_ATOMS / atoms_per_frame)
    return max(1, round(min(frames, _MOST_ATOMS / atoms_per_frame, num_frames / 10)))
