"""One pass over all frames before there is a configuration."""

import numpy as np

from pyg_nnp.data.source import Block
from pyg_nnp.diagnostics.survey import survey


def blocks(sizes: list[int], per_block: int = 100) -> list[Block]:
    """Return frames whose positions, energies and charges tell their number."""
    made = []
    for first in range(0, len(sizes), per_block):
        N = np.array(sizes[first : first + per_block])
        numbers = np.arange(first, first + len(N), dtype=float)
        Ra = np.repeat(numbers, N)[:, None] * np.ones(3)
        Fa = np.where(np.repeat(numbers, N)[:, None] % 4 == 0, np.nan, Ra)
        made.append(Block(first, {"N": N, "Za": np.repeat(N, N), "Ra": Ra, "E": numbers, "Fa": Fa, "Q": numbers % 2}))
    return made


def test_all_frames_are_seen() -> None:
    found = survey(blocks([1, 2, 1, 3] * 60))
    assert found.num_frames == 240
    assert found.elements == (1, 2, 3)
    # charges go 0, 1, 0, 1: single atoms are neutral, and do not count among the charges
    assert (found.isolated, found.num_isolated) == ((1,), 120)
    assert found.charges == (1.0,)
    assert found.labelled == {"E": 120, "Fa": 120, "Q": 120}
    assert found.sample.arrays["N"].tolist() == [2, 3] * 60


def test_an_ion_of_one_atom_is_no_isolated_atom() -> None:
    found = survey(blocks([1, 1, 2, 3]))
    assert (found.isolated, found.num_isolated) == ((1,), 1)
    assert found.labelled["E"] == 3


def test_the_sample_of_many_is_evenly_spaced() -> None:
    found = survey(blocks([2] * 9000))
    E, Ra = found.sample.arrays["E"], found.sample.arrays["Ra"]
    assert 1000 <= len(E) <= 2000
    assert len(set(np.diff(E))) == 1
    assert E[0] == 0
    assert E[-1] > 8900
    assert np.array_equal(Ra[::2, 0], E)


def test_of_single_atoms_alone_there_is_a_sample() -> None:
    found = survey(blocks([1] * 10))
    assert found.sample.num_frames == 10
