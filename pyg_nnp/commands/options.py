"""Options that several commands share."""

import argparse
from collections.abc import Sequence

import torch

from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.fields import FEATURES, TARGETS
from pyg_nnp.runtime import processes


def mapping_of(pairs: Sequence[str]) -> dict[str, str]:
    """Return standard name -> name in the file, from the values of ``--map``; an empty one stands for nothing.

    Raises:
        ConfigError: one of them is not understood.
    """
    known = (*FEATURES, *TARGETS)
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, separator, source = pair.partition("=")
        if not name or not separator:
            raise ConfigError(f"--map {pair}: expects NAME=SOURCE, such as E=energy.")
        if name not in known:
            near = f" Did you mean {source}={name}?" if source in known else did_you_mean(name, known)
            raise ConfigError(f"--map {pair}: {name} is no standard name.{near} Known: {', '.join(known)}.")
        if source and source in mapping.values():
            raise ConfigError(f"--map {pair}: {source} is mapped to another name, too. An array is one field.")
        mapping[name] = source
    return mapping


def device_of(options: argparse.Namespace) -> torch.device:
    """Return a GPU where there is one, unless ``--cpu`` was given."""
    return processes.cuda_device() if torch.cuda.is_available() and not options.cpu else torch.device("cpu")
