"""The contract of a layer."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor, nn

Fields = dict[str, Tensor]
# of the distances of pairs, (P,) to (P, K)
RadialFunction = Callable[[Tensor], Tensor]


class Layer(nn.Module):
    """Reads some fields and writes others.

    ``forward`` takes the tensors that ``reads`` names as keyword arguments and returns a dict with exactly those that
    ``writes`` names. It changes none of its arguments.

    The options of a layer are the parameters of its constructor, with type hints; those without a default must be
    given in ``params`` or ``build_params``. A constructor that draws random numbers takes ``generator`` and draws from
    it.

    Attributes:
        reads: names of the fields that ``forward`` takes.
        writes: names of the fields that it returns.
        energy_terms: those of ``writes`` that are terms of the energy per atom and belong into the total energy.
        differentiates: fields with respect to which ``forward`` takes derivatives.
        prepends: classes of layers that are put in front of the whole potential where it has none of them.
        reach: pairs that are farther apart do not matter to it [length]; all do by default. Only of layers that read
            ``edge_index``, ``pair_index`` or ``Dij``: how far neighbors are searched for where no list is given.
        elementwise: each row of what it writes depends on the same row of what it reads, and on nothing else. As a
            function of ``Dij_sr`` it must be finite and smooth, also at 0, below, and half as far again as the cutoff.
        functions: those of ``reads`` that ``forward`` takes as functions of ``Dij_sr``, so that it may evaluate them
            where there is no pair. If nothing elementwise writes a field from ``Dij_sr`` alone, it gets the tensor.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    energy_terms: tuple[str, ...] = ()
    differentiates: tuple[str, ...] = ()
    prepends: ClassVar[tuple[type["Layer"], ...]] = ()
    reach: float = math.inf
    elementwise: ClassVar[bool] = False
    functions: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()

    def refine(self, functions: Mapping[str, RadialFunction]) -> None:
        """Adapt what the layer approximates to the present values of its parameters.

        Called before a prediction if parameters have changed: at each in evaluation, but in training only at the first
        and when it goes on after an evaluation.

        Args:
            functions: those of ``self.functions`` that ``forward`` gets as functions, here in double precision.
        """


class Core(Layer):
    """The message passing part of a potential, from the atoms' features to atomic energies and charges.

    ``architecture`` in the configuration names it, and the entry ``Core`` among the layers stands for it.
    """
