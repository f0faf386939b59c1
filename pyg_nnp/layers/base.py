"""The contract of a layer, and from its name in the configuration to its class."""

import math
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

Fields = dict[str, Tensor]
AtomicNumber = Annotated[int, Field(ge=1, le=118)]


class Layer(nn.Module):
    """Reads some fields and writes others.

    ``forward`` takes the tensors that ``reads`` names as keyword arguments and returns a dict with exactly those that
    ``writes`` names. It changes none of its arguments.

    The options of a layer are the parameters of its constructor, with type hints; those without a default must be
    given in ``params`` or ``build_params``. A constructor that draws random numbers takes ``generator`` and draws from
    it.

    Attributes:
        reads: names of the fields that ``forward`` takes.
        reads_in_cells: those that it takes, besides, where the data have periodic cells; None without, by default.
        writes: names of the fields that it returns.
        energy_terms: those of ``writes`` that are terms of the energy per atom and belong into the total energy.
        differentiates: fields with respect to which ``forward`` takes derivatives, partial ones: what a layer writes
            depends on none of them through another.
        prepends: classes of layers that are put in front of the whole potential where it has none of them.
        reach: pairs that are farther apart do not matter to it [length]; all do by default. Only of layers that read
            ``edge_index``, ``pair_index``, ``Vij`` or ``Dij``: how far neighbors are searched for without a list.
        is_on_device: whether all of it is computed on the device of the data, by torch and kernels.
        not_in_cells: why it has no meaning in periodic cells, and what to do instead, for a message.
        not_in_slabs: likewise, in cells that are not periodic in all directions.
        not_in_wires: likewise, in cells that are periodic in one direction alone.
    """

    reads: tuple[str, ...] = ()
    reads_in_cells: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    energy_terms: tuple[str, ...] = ()
    differentiates: tuple[str, ...] = ()
    prepends: ClassVar[tuple[type["Layer"], ...]] = ()
    reach: float = math.inf
    is_on_device: bool = True
    not_in_cells: str = ""
    not_in_slabs: str = ""
    not_in_wires: str = ""

    def __init__(self) -> None:
        super().__init__()

    def initialise(self, **fields: Tensor) -> None:
        """Change the parameters to suit a sample of the data; a training calls it once, before its first step.

        Each layer is called before its ``forward``, with the same arguments. By default parameters stay as they are.
        """


class Core(Layer):
    """The message passing part of a potential, from the atoms' features to atomic energies and charges.

    ``architecture`` in the configuration names it, and the entry ``Core`` among the layers stands for it.
    """

    def scale_outputs(self, energy: float, charge: float) -> None:
        """Let atomic energies and charges be numbers of about 1 times these [energy, charge].

        A training calls it where it calls ``initialise``. By default nothing changes.
        """


class RadialBasis(Layer):
    """Functions of the distance alone, so that a core can evaluate them where there is no pair, for its tables.

    A subclass has the method ``expand``. Its functions must be finite and smooth also at 0, below, and half as far
    again as the cutoff; a kink or a pole costs rows of tables, or the tables.
    """

    reads = ("Dij_sr",)
    writes = ("rbf",)

    def expand(self, r: Tensor) -> Tensor:
        """Return (P, K) values of the functions at (P,) distances."""
        raise NotImplementedError

    def forward(self, Dij_sr: Tensor) -> Fields:
        """Return the functions at the distances of the pairs."""
        return {"rbf": self.expand(Dij_sr)}  # (P_sr, K)
