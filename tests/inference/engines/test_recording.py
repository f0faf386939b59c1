"""Recordings hold for all sizes, or the layer is refused by its name."""

import math

import pytest
import torch
from engine_systems import of_crystals, of_molecules
from torch import Tensor

from pyg_nnp.errors import DataError
from pyg_nnp.inference.engines.recording import record
from pyg_nnp.inference.engines.torchscript import AtomicProperties
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.dispersion import Dispersion
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.potential.potential import Potential


class ForOneSize(Layer):
    """Shifts energies by the number of atoms, which a recording freezes."""

    reads = ("Ea",)
    writes = ("Ea",)

    def forward(self, Ea: Tensor) -> Fields:
        return {"Ea": Ea + len(Ea)}


class InNumpy(Layer):
    """Computes what TorchScript cannot."""

    reads = ("Ea",)
    writes = ("Ea",)

    def forward(self, Ea: Tensor) -> Fields:
        return {"Ea": Ea + torch.from_numpy(Ea.detach().numpy() ** 2)}


class AllPairs(Layer):
    reads = ("Dij", "Ea")
    writes = ("Ea",)

    def forward(self, Dij: Tensor, Ea: Tensor) -> Fields:
        return {"Ea": Ea + Dij.sum()}


class OwnEnergy(Layer):
    reads = ("E",)
    writes = ("E",)

    def forward(self, E: Tensor) -> Fields:
        return {"E": 2 * E}


class OwnTerm(Layer):
    """As of a potential's own layer, which nothing is known of."""

    reads = ("Ea",)
    writes = ("Ea",)

    def forward(self, Ea: Tensor) -> Fields:
        return {"Ea": 2 * Ea}


def with_layer(layer: Layer) -> Potential:
    """Return a potential with a layer of one's own in front of the sum of energies, or behind it."""
    layers = list(of_crystals().layers)
    names = [type(own).__name__ for own in layers]
    place = names.index("EnergyReduce") + ("E" in layer.reads)
    return Potential([*layers[:place], layer, *layers[place:]]).double().eval()


@pytest.mark.parametrize("layer", [ForOneSize, InNumpy])
def test_a_layer_that_holds_for_one_size_is_refused(layer: type[Layer]) -> None:
    with pytest.raises(DataError, match=rf"layer \d \({layer.__name__}\) cannot be exported: it is no TorchScript"):
        record(AtomicProperties(with_layer(layer())), [1, 8])


def test_dispersion_is_refused() -> None:
    pytest.importorskip("dftd3")
    dispersion = Dispersion("pbe", Hartree_in_E=1.0, Bohr_in_R=0.529177210544)
    layers = list(of_molecules().layers)
    place = [type(own) for own in layers].index(EnergyReduce)
    layers[place] = EnergyReduce(["Ea", "Ea_dispersion"])
    potential = Potential([*layers[:place], dispersion, *layers[place:]]).double().eval()
    with pytest.raises(DataError, match=rf"layer {place} \(Dispersion\) cannot be exported: it is no TorchScript"):
        record(AtomicProperties(potential), [1, 8])


def test_layers_that_need_what_engines_do_not_give() -> None:
    with pytest.raises(DataError, match=r"layer \d \(AllPairs\) cannot be exported: it reads pairs at any distance"):
        AtomicProperties(with_layer(AllPairs()))
    with pytest.raises(DataError, match=r"what EnergyReduce writes to be exported, but layer \d \(OwnEnergy\) writes"):
        AtomicProperties(with_layer(OwnEnergy()))


def test_a_layer_of_ones_own() -> None:
    own = AtomicProperties(with_layer(OwnTerm()))
    # nothing says how far it looks
    assert own.interaction_range == math.inf
    record(own, [1])


def test_how_far_atoms_matter() -> None:
    of_crystal = AtomicProperties(of_crystals())
    assert (of_crystal.in_cells, of_crystal.interaction_range) == (True, 8.0)
    # charges of all atoms add up to the total charge
    of_molecule = AtomicProperties(of_molecules())
    assert (of_molecule.in_cells, of_molecule.interaction_range) == (False, math.inf)
    shifted = of_crystals()
    shifted.energy_shift.fill_(0.5)
    assert AtomicProperties(shifted).interaction_range == math.inf
