"""A small data set of right data, into which mistakes are planted."""

import numpy as np
from planted import Frame
from scipy.spatial.transform import Rotation
from toy import frame, toy_config

STANDARD = {
    "coordinates": "Ra",
    "atomic_numbers": "Za",
    "energy": "E",
    "forces": "Fa",
    "atomic_charges": "Qa",
    "dipole": "M2",
}


def small_set() -> list[Frame]:
    """Return water, methanol and an ion with the shape of methanol, each turned at random."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(90):
        Q = float(i % 3 == 2)
        toy = frame(("H2O", "CH3OH", "CH3OH")[i % 3], rng, 0.03)
        one = {name: toy[source] for source, name in STANDARD.items()} | {"Q": Q}
        one["Qa"] = one["Qa"] + Q / len(one["Za"])
        turn = Rotation.random(rng=rng)
        one["Ra"], one["Fa"] = turn.apply(one["Ra"]), turn.apply(one["Fa"])
        one["M2"] = one["Qa"] @ one["Ra"]
        frames.append(one)
    return frames


FRAMES = small_set()


def config() -> dict:
    document = toy_config()
    document["Datahub"]["transforms"].pop("atomic_energy")
    return document
