"""The layers and cores by their names in the configuration."""

import inspect
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.layers import LAYERS
from pyg_nnp.layers.base import Layer
from pyg_nnp.layers.cores import CORES

__all__ = ["CORES", "LAYERS", "import_layers", "resolve_class"]


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
