"""Which layers the passes written by hand can take the place of."""

import torch
from molecules import core_arguments, core_of, make_potential
from torch import nn
from torch.nn.utils import parametrize
from torch_geometric.data import Batch

from pyg_nnp.layers.cores.cartesian_passes import Layers, Weights


def layers(F: int = 4) -> Layers:
    return Layers(
        nn.Linear(F, 3 * F, bias=False),
        [nn.Linear(F, F, bias=False) for _ in range(3)],
        nn.Linear(5 * F, F),
        nn.Linear(F, 3 * F),
        [nn.Linear(F, F, bias=False)],
    )


def test_weights_are_those_of_the_layers() -> None:
    given = layers()
    weights = Weights.of_layers(given)
    again, x = weights.layers(), torch.randn(2, 4)
    for found, right in ((again.source, given.source), (again.mix[1], given.mix[1]), (again.lin2, given.lin2)):
        assert torch.equal(found(x), right(x))
    assert torch.equal(again.update[0](x), given.update[0](x))
    assert all(a is b for a, b in zip(Weights.of(weights.flat()).flat(), weights.flat(), strict=True))


def test_layers_that_do_more_than_multiply_are_called() -> None:
    watched, other, bound = layers(), layers(), layers()
    watched.mix[2].register_forward_hook(lambda *_: None)
    other.update[0] = nn.Sequential(other.update[0])
    parametrize.register_parametrization(bound.lin1, "weight", nn.Tanh())
    assert [Weights.of_layers(x) for x in (watched, other, bound)] == [None] * 3


def test_a_layer_in_place_of_another_counts(batch: Batch) -> None:
    potential = make_potential(architecture="Cartesian")
    core, arguments = core_of(potential), core_arguments(potential, batch)
    before = core(**arguments)["x"].detach()
    core.interactions[0].mix[0] = nn.Sequential(core.interactions[0].mix[0])
    torch.testing.assert_close(core(**arguments)["x"], before, rtol=1e-10, atol=1e-10)
    core.interactions[0].mix[0].append(nn.Tanh())
    assert float((core(**arguments)["x"].detach() - before).abs().max()) > 1e-3
