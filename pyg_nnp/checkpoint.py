"""What is saved of a potential: its parameters as safetensors, and JSON that is enough to build it again."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pyg_nnp.build import build_layers
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.files import write_durably, write_json
from pyg_nnp.model import Potential

FORMAT = 1
PARAMETERS, DESCRIPTION = "potential.safetensors", "potential.json"


def save_potential(potential: Potential, folder: Path, about: Mapping[str, Any]) -> None:
    """Save a potential.

    Args:
        potential: built by :func:`pyg_nnp.build_potential`.
        folder: made where it is missing.
        about: more to be written into the JSON, such as the epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        **potential.spec,
        "format": FORMAT,
        "version": version("pyg-nnp"),
        "dtype": str(potential.dtype).removeprefix("torch."),
        **about,
    }
    parameters = {name: value.contiguous().cpu() for name, value in potential.state_dict().items()}
    write_durably(folder / PARAMETERS, save(parameters))
    write_json(folder / DESCRIPTION, description)


def load_potential(folder: str | Path, device: str | torch.device = "cpu") -> Potential:
    """Load a potential that training has saved, in evaluation mode.

    Args:
        folder: a model's folder, of which the best potential is taken, or its ``best`` or ``last`` folder.
        device: where to.

    Raises:
        DataError: the folder holds no potential, or a damaged one.
        ConfigError: a layer is a class of the user's own whose module is not imported yet.
    """
    folder = Path(folder)
    if not (folder / DESCRIPTION).exists() and (folder / "best").is_dir():
        folder = folder / "best"
    for file in (DESCRIPTION, PARAMETERS):
        if not (folder / file).is_file():
            raise DataError(
                f"{folder}: no potential here ({file} is missing). "
                "Name the folder of a trained model, such as FF01-SchNet."
            )
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        if description["format"] != FORMAT:
            raise DataError(
                f"{folder}: format {description['format']} of a potential is not known to this version of pyg_nnp, "
                f"which reads format {FORMAT}. Use a version like that which wrote it, {description.get('version')}."
            )
        potential = potential_from_spec(description)
        potential.to(getattr(torch, description["dtype"])).load_state_dict(load_file(folder / PARAMETERS))
    except ConfigError as error:
        raise ConfigError(f"{folder / DESCRIPTION}: {error}") from error
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        raise DataError(f"{folder}: the saved potential is damaged: {error}. Use another copy of it.") from error
    return potential.to(device).eval()


def potential_from_spec(spec: Mapping[str, Any]) -> Potential:
    """Build the potential that a saved description stands for, with parameters that are still to be loaded."""
    layers, built = build_layers(
        spec["architecture"],
        {},
        [(entry["name"], entry["params"]) for entry in spec["layers"]],
        torch.Generator(),
        may_import=False,
    )
    return Potential(layers, {**spec, "layers": built})
