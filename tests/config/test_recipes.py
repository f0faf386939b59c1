"""Sizes of steps, and that each recipe is of an architecture that there is."""

import pytest

from pyg_nnp.config.recipes import DEFAULT, RECIPES, batch_size_for
from pyg_nnp.layers import LAYERS
from pyg_nnp.layers.cores import CORES


def test_recipes_are_of_cores() -> None:
    assert RECIPES.keys() <= CORES.keys()
    assert {recipe.radial for recipe in RECIPES.values()} <= LAYERS.keys()
    assert DEFAULT == "Cartesian"


@pytest.mark.parametrize(
    ("frames", "atoms", "batch_size"),
    [
        (950, 21, 5),  # aspirin: the set that the recipe was found with
        (950, 9, 11),  # ethanol: a step of 100 atoms
        (1440, 22, 7),  # 200 steps
        (20_000, 10, 60),  # 600 atoms
        (10_000_000, 18, 33),
        (32, 3, 3),  # 10 steps
        (5, 3, 1),
        (1, 1, 1),
        (1000, 700, 1),  # more atoms than a step is to have
    ],
)
def test_batch_sizes(frames: int, atoms: float, batch_size: int) -> None:
    assert batch_size_for(frames, atoms) == batch_size
