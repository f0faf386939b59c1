"""How fields go from layer to layer."""

import pytest
import torch
from molecules import LAYER_ENTRIES, make_potential
from torch import Tensor

from pyg_nnp.errors import FieldError
from pyg_nnp.layers import Distance, Force, Layer, RangeSeparation
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import Wiring, blind_to, check_wiring, derived_from


class Partial(Layer):
    """Forces of charges alone, with respect to positions."""

    reads = ("Ra", "Ea_electrostatic")
    writes = ("Fa_electrostatic",)
    differentiates = ("Ra",)

    def forward(self, Ra: Tensor, Ea_electrostatic: Tensor) -> dict[str, Tensor]:
        (gradient,) = torch.autograd.grad(Ea_electrostatic.sum(), Ra, retain_graph=True)
        return {"Fa_electrostatic": -gradient}


def test_derivatives_by_positions_alone_are_refused_where_pairs_are_independent_of_them() -> None:
    layers = list(make_potential().layers)
    with pytest.raises(FieldError, match=r"layer 10 \(Partial\) differentiates .* 'Ra' alone, .*'Vij' too"):
        Potential([*layers[:-1], Partial(), layers[-1]])
    # by itself it gets whole derivatives
    wiring = Potential([*layers[:-1], Partial()])._wiring
    assert wiring.differentiated == {"Ra"}


def test_what_is_made_of_a_field() -> None:
    potential = make_potential()
    assert {"Qa", "Q_sum", "M2", "Ea_electrostatic", "E", "Fa"} <= derived_from("Q", potential.layers)
    assert derived_from("Q", potential.layers).isdisjoint({"x", "Ea", "Vij"})
    assert derived_from("Q", list(potential.layers)[:6]) == {"Q"}  # up to AtomicAffine


def test_labels_that_an_input_makes_no_difference_to() -> None:
    potential = make_potential()
    assert blind_to("Q", potential.layers, potential.outputs) == ()
    without = make_potential([entry for entry in LAYER_ENTRIES if entry[0] != "ElectrostaticEnergy"])
    assert blind_to("Q", without.layers, without.outputs) == ("E", "Fa")
    assert blind_to("Za", without.layers, without.outputs) == blind_to("Ra", without.layers, without.outputs) == ()


def test_what_follows_from_declarations() -> None:
    layers = list(make_potential().layers)
    wiring = Wiring(layers)
    assert wiring.differentiated == {"Ra", "Vij", "cell"}
    assert wiring.reach == 4.0
    # SchNet gets the Gaussians in place of their values, which nobody else reads
    assert wiring.bases == {4: 2}
    assert wiring.skipped == {2}
    assert Wiring([Distance(), RangeSeparation(3.0)]).reach == 3.0
    assert Wiring([Distance()]).reach == 0.0


def test_force_needs_vectors() -> None:
    with pytest.raises(FieldError, match=r"layer 0 \(Force\) reads 'pair_index', which nothing before it writes"):
        check_wiring([Force()])
