"""The contract of a layer, and from its name in the configuration to its class."""

import inspect
import math
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import ClassVar

from torch import Tensor, nn

from pyg_nnp.errors import ConfigError, did_you_mean

Fields = dict[str, Tensor]


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
        differentiates: fields with respect to which ``forward`` takes derivatives, partial ones: what a layer writes
            depends on none of them through another.
        prepends: classes of layers that are put in front of the whole potential where it has none of them.
        reach: pairs that are farther apart do not matter to it [length]; all do by default. Only of layers that read
            ``edge_index``, ``pair_index``, ``Vij`` or ``Dij``: how far neighbors are searched for without a list.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    energy_terms: tuple[str, ...] = ()
    differentiates: tuple[str, ...] = ()
    prepends: ClassVar[tuple[type["Layer"], ...]] = ()
    reach: float = math.inf

    def __init__(self) -> None:
        super().__init__()


class Core(Layer):
    """The message passing part of a potential, from the atoms' features to atomic energies and charges.

    ``architecture`` in the configuration names it, and the entry ``Core`` among the layers stands for it.
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


def resolve_class(name: str, known: Mapping[str, type[Layer]], base: type[Layer], *, may_import: bool) -> type[Layer]:
    """Return the class that a name in the configuration stands for.

    Args:
        name: a name in ``known``, or ``package.module:Class``.
        known: name -> class.
        base: of the class.
        may_import: whether a module may be imported; that runs its code, which a model file alone must not cause.

    Raises:
        ConfigError: there is none, or it is no subclass of ``base``.
    """
    if ":" not in name:
        if name not in known:
            raise ConfigError(
                f"there is no {base.__name__.lower()} '{name}'.{did_you_mean(name, known)} "
                f"There are: {', '.join(known)}; or your own as package.module:Class."
            )
        return known[name]
    module_name, _, class_name = name.partition(":")
    if not may_import and module_name not in sys.modules:
        raise ConfigError(
            f"'{name}' is a class of your own. Import the module '{module_name}' before you load this; "
            f"commands do with --import {module_name}."
        )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"'{name}' does not name a class. Write package.module:Class, without '.py' or folders.")
    module = import_layers(module_name, name)
    found = vars(module).get(class_name)  # getattr may import, too
    if found is None:
        raise ConfigError(
            f"module '{module_name}' has no class '{class_name}'.{did_you_mean(class_name, vars(module))}"
        )
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ConfigError(
            f"'{class_name}' in module '{module_name}' is no subclass of pyg_nnp.layers.{base.__name__}. Let it be one."
        )
    return found


def import_layers(module: str, name: str) -> ModuleType:
    """Import a user's module, for what the user calls ``name``; a :class:`ConfigError` tells why it is not possible."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"cannot import '{module}' of '{name}': {error}. "
            "The module must be installed or lie in the working directory."
        ) from error
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, SyntaxError) else f" ({last.filename}, line {last.lineno})"
        raise ConfigError(
            f"importing '{module}' fails: {type(error).__name__}: {error}{where}. Mend it there."
        ) from error
