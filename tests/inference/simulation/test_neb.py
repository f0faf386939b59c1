"""A barrier that is known."""

from pathlib import Path

import ase.io
import morse
import numpy as np
import pytest
from ase import Atoms
from simulations import rows, simulate

from pyg_nnp.units import HARTREE_IN_EV


def pyramid(height: float) -> Atoms:
    """Return N above or below a triangle of H, all at the minimum of their Morse bonds."""
    radius = morse.R0 / np.sqrt(3)
    corners = [[radius * np.cos(t), radius * np.sin(t), 0] for t in 2 * np.pi / 3 * np.arange(3)]
    return Atoms("NH3", [[0, 0, height], *corners])


@pytest.mark.parametrize("interpolation", ["idpp", "linear"])
def test_barrier_of_inversion(folder: Path, interpolation: str) -> None:
    height = morse.R0 * np.sqrt(2 / 3)
    ase.io.write("up.xyz", pyramid(height))
    ase.io.write("down.xyz", pyramid(-height))
    options = {"final": "down.xyz", "images": 4, "fmax": 0.01, "interpolation": interpolation}
    assert simulate(structure="up.xyz", neb=options, constraints={"fixed_atoms": [1, 2, 3]}) == 0
    # N climbs to the centre of the triangle, although no image starts there
    barrier = 3 * morse.D * (1 - np.exp(-morse.A * (morse.R0 / np.sqrt(3) - morse.R0))) ** 2 * HARTREE_IN_EV
    assert rows()["barrier_eV"][-1] == pytest.approx(barrier, rel=1e-3)
    assert rows()["reaction_eV"][-1] == pytest.approx(0, abs=1e-3)
    images = ase.io.read("out/trajectory.xyz", ":")
    assert len(images) == 6
    assert min(np.linalg.norm(image.positions[0]) for image in images) < 0.02
