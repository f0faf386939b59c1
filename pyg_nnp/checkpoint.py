"""What is saved of a potential: its parameters as safetensors, and JSON that is enough to build it again."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pyg_nnp.build import build_layers
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.files import write_durably, write_json
from pyg_nnp.model import Potential

FORMAT = 1
_DTYPES = {"float32": torch.float32, "float64": torch.float64}
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
        parameters = load_file(folder / PARAMETERS)
        _check_shapes(description, parameters)
        potential = potential_from_spec(description, torch.Generator())
        potential.to(_DTYPES[description["dtype"]]).load_state_dict(parameters)
    except ConfigError as error:
        raise ConfigError(f"{folder / DESCRIPTION}: {error}") from error
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        raise DataError(f"{folder}: the saved potential is damaged: {error}. Use another copy of it.") from error
    return potential.to(device).eval()


def _check_shapes(description: Mapping[str, Any], parameters: Mapping[str, Tensor]) -> None:
    """Refuse a description that asks for other parameters than there are, before memory is taken for them.

    A potential with layers of the user's own is built without this check: they need not work without memory.
    """
    names = [description["architecture"], *(entry["name"] for entry in description["layers"])]
    if any(":" in name and not name.startswith("pyg_nnp.") for name in names):
        return
    with torch.device("meta"):
        expected = potential_from_spec(description, None).state_dict()
    for name in expected.keys() | parameters.keys():
        if name not in expected or name not in parameters or expected[name].shape != parameters[name].shape:
            raise ValueError(f"description and parameters do not fit together at {name}")


def potential_from_spec(spec: Mapping[str, Any], generator: torch.Generator | None) -> Potential:
    """Build the potential that a saved description stands for, with parameters that are still to be loaded."""
    layers, built = build_layers(
        spec["architecture"],
        {},
        [(entry["name"], entry["params"]) for entry in spec["layers"]],
        generator,
        may_import=False,
    )
    return Potential(layers, {**spec, "layers": built})
