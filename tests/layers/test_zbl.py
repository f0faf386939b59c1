"""Repulsion of the nuclei as a term of the energy."""

import math

import numpy as np
import pytest
import torch
from crystal_checks import check_derivatives, check_descriptions
from crystals import some_crystals
from molecules import LAYER_ENTRIES, make_data, make_potential
from torch_geometric.data import Data

from pyg_nnp.errors import ConfigError
from pyg_nnp.layers import ZBL, Distance, EnergyReduce, Force, RangeSeparation, Stress
from pyg_nnp.potential.potential import Potential

ANGSTROM = {"Hartree_in_E": 27.211386245981, "Bohr_in_R": 0.529177210544}


def potential_of(**options: float) -> Potential:
    layers = [Distance(), RangeSeparation(5.0), ZBL(5.0, **ANGSTROM, **options), EnergyReduce(["Ea_zbl"])]
    return Potential([*layers, Force(), Stress()]).eval()


def pair(r: float, numbers: tuple[int, int] = (14, 8)) -> Data:
    return make_data(numbers, np.array([[0.0, 0.0, 0.0], [0.0, 0.6 * r, 0.8 * r]]))


def by_hand(r: float, z1: int, z2: int) -> float:
    """Return the energy [eV] at a distance [Å]."""
    x = r / (0.88534 * 0.529177210544 / (z1**0.23 + z2**0.23))
    terms = [(0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162)]
    return 14.399645478 * z1 * z2 / r * sum(c * math.exp(-d * x) for c, d in terms)


def test_energies_are_those_of_the_formula_below_half_of_the_cutoff() -> None:
    for r in (0.3, 1.1, 2.4):
        energy = float(potential_of()(pair(r))["E"][0])
        assert energy == pytest.approx(by_hand(r, 14, 8), rel=1e-9)
    assert float(potential_of(scale=0.3)(pair(1.1))["E"][0]) == pytest.approx(0.3 * by_hand(1.1, 14, 8), rel=1e-9)
    assert 0 < float(potential_of()(pair(3.5))["E"][0]) < by_hand(3.5, 14, 8)
    assert float(potential_of(cutoff_repulsion=2.0)(pair(2.0))["E"][0]) == 0.0
    assert 0 < float(potential_of(cutoff_repulsion=2.0)(pair(1.9))["E"][0]) < 1e-3 * by_hand(1.9, 14, 8)


def test_energies_do_not_depend_on_how_crystals_are_described() -> None:
    check_descriptions(potential_of(), [atoms for atoms in some_crystals() if "C" not in atoms.symbols])


def test_forces_and_stress_are_derivatives() -> None:
    check_derivatives(potential_of(), some_crystals())


def test_a_factor_is_learned_and_stays_positive() -> None:
    entries = [*LAYER_ENTRIES[:-2], ("ZBL", {"scale": 0.5, "learned": True}), *LAYER_ENTRIES[-2:]]
    potential = make_potential(entries).train()
    (name,) = [name for name, _ in potential.named_parameters() if "log_factor" in name]
    factor = potential.get_parameter(name)
    potential(pair(0.8))["Fa"].square().sum().backward(inputs=[factor])
    assert abs(float(factor.grad)) > 1e-3
    with torch.no_grad():
        factor.fill_(-3.0)
    layer = next(layer for layer in potential.layers if isinstance(layer, ZBL))
    written = layer(Za=torch.tensor([14, 8]), edge_index_sr=torch.tensor([[1, 0], [0, 1]]), Dij_sr=torch.tensor([0.8]))
    expected = 0.5 * math.exp(-3) * by_hand(0.8, 14, 8) / 14.399645478 * 0.5291772108
    assert float(written["Ea_zbl"].detach().sum()) == pytest.approx(expected, rel=1e-5)
    assert not list(ZBL(5.0, **ANGSTROM).parameters())


def test_a_cutoff_beyond_the_pairs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cutoff_repulsion is 6.0, larger than cutoff_sr, 5.0, where the pairs end"):
        ZBL(5.0, **ANGSTROM, cutoff_repulsion=6.0)
