"""The file of a potential: parameters, and the JSON that it is rebuilt from, in one safetensors file with a digest."""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.build import build_layers
from pyg_nnp.potential.description import (
    BEST,
    DOMAIN_KEYS,
    FORMAT,
    KEY,
    LAST,
    TrainingDomain,
    damaged,
    digest_of,
    parse,
    read_content,
)
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import blind_to
from pyg_nnp.runtime.files import finite, write_durably

__all__ = [
    "BEST", "LAST", "load_parameters", "load_potential", "own_copy", "read_saved", "save_potential", "start_from"
]  # fmt: skip

# entries of the description that follow from the layers, for readers that build none
_DERIVED = ("outputs", "num_parameters")
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save_potential(
    potential: Potential, path: Path, about: Mapping[str, Any], more: Mapping[str, Tensor] | None = None
) -> str:
    """Save a potential, durably, and return the digest of the file, which its description says as well.

    ``about`` is added to the JSON, such as the epoch, and ``more`` to the tensors, with names that no parameter has.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    description = {
        **potential.spec,
        **potential.domain.to_json(),
        "format": FORMAT,
        "version": version("pyg-nnp"),
        "dtype": str(potential.dtype).removeprefix("torch."),
        "outputs": list(potential.outputs),
        "num_parameters": sum(parameter.numel() for parameter in potential.parameters()),
        # read_saved compares it, in case that a file was put in the place of another
        "name": path.name,
        **about,
    }
    tensors = {name: v.detach().contiguous().cpu() for name, v in (potential.state_dict() | dict(more or {})).items()}
    content, digest = sealed(finite(description), tensors)
    write_durably(path, [content])
    return digest


def sealed(description: Mapping[str, Any], tensors: dict[str, Tensor]) -> tuple[bytes, str]:
    """Return the file of a potential with its digest, and the digest."""
    # one entry alone: safetensors writes several in any order, and the same potential would not be the same bytes
    digest = digest_of(save(tensors, {KEY: json.dumps(description)}))
    return save(tensors, {KEY: json.dumps({**description, "sha256": digest})}), digest


def read_saved(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file that :func:`save_potential` wrote.

    Returns:
        The description, and all tensors by name.

    Raises:
        DataError: there is no such file, or it is damaged, or another one than its name says, or of another format.
    """
    content = read_content(path)
    description = parse(path, content)
    try:
        return description, load(content)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


@torch.inference_mode(False)
def load_potential(path: str | Path, device: str | torch.device = "cpu") -> Potential:
    """Load a potential that training has saved, in evaluation mode: the best one of a model's folder, or a file.

    Raises:
        DataError: there is no potential, or a damaged one.
        ConfigError: a layer is a class of the user's own whose module is not imported yet.
    """
    path = _file_of(path)
    description, tensors = read_saved(path)
    try:
        spec = {key: value for key, value in description.items() if key not in ("training", "sha256")}
        _check_shapes(spec, tensors)
        potential = potential_from_spec(spec, torch.Generator())
        potential.to(_DTYPES[description["dtype"]])
        load_parameters(potential, description, tensors)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise damaged(path, str(error)) from error
    return potential.to(device).eval()


@torch.inference_mode(False)
def own_copy(
    potential: str | Path | Potential, device: str | torch.device, dtype: str | torch.dtype | None
) -> Potential:
    """Return a copy of a potential, or that of a folder or a file, in evaluation mode.

    Args:
        potential: the folder of a trained model, its file, or a loaded potential.
        device: where to evaluate.
        dtype: float32 or float64, or the type of PyTorch of that name; None takes that of the training.

    Raises:
        DataError: there is no potential, no such device, or the precision is another one.
    """
    name = None if dtype is None else str(dtype).removeprefix("torch.")
    if name is not None and name not in _DTYPES:
        raise DataError(f"dtype: {dtype} is no precision of a potential. Choose float32, float64, or None: as trained.")
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(f"device: '{device}' cannot be used here ({reason}). Choose another, such as cpu.") from error
    own = copy.deepcopy(potential) if isinstance(potential, Potential) else load_potential(potential)
    return own.to(device, None if name is None else _DTYPES[name]).eval()


def _file_of(path: str | Path) -> Path:
    return Path(path, BEST) if Path(path).is_dir() else Path(path)


def start_from(potential: Potential, path: str | Path) -> tuple[list[str], list[str]]:
    """Give layers of a new potential the parameters of a trained one.

    A layer takes them if the n-th layer of its name there has parameters of the same names and shapes. Reference
    energies belong to the data and are not taken.

    Returns:
        The layers that took them, and the others.

    Raises:
        DataError: there is no potential, a damaged one, or none of its layers fits.
    """
    path = _file_of(path)
    description, tensors = read_saved(path)
    trained = dict(_labelled(description))
    state, parameters = potential.state_dict(), dict(potential.named_parameters())
    taken, left = [], []
    for label, number in _labelled(potential.spec):
        own = {name: value for name, value in state.items() if name.startswith(f"layers.{number}.")}
        # buffers and extra state describe the parameters, and are copied with them; rows of tables are chosen anew
        own = {name: value for name, value in own.items() if not name.endswith(".filter_table._extra_state")}
        if not own.keys() & parameters.keys():
            continue
        found = {name: tensors.get(f"layers.{trained.get(label)}.{name.split('.', 2)[2]}") for name in own}
        if all(value is not None and value.shape == own[name].shape for name, value in found.items()):
            state |= {name: value for name, value in found.items() if value is not None}
            taken.append(label)
        else:
            left.append(label)
    if not taken:
        raise DataError(f"{path}: no layer of this potential has the parameters of one of: {', '.join(left)}.")
    potential.load_state_dict(state)
    return taken, left


def _labelled(description: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield a name for each layer, by which it is found in another potential, and its number."""
    seen: Counter[str] = Counter()
    for number, layer in enumerate(description["layers"]):
        name = description["architecture"] if layer["name"] == "Core" else layer["name"]
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} {seen[name]}"), number


def load_parameters(potential: Potential, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Copy all parameters and buffers of a potential from the tensors of a file with its description.

    Raises:
        KeyError, RuntimeError: one is missing, or has another shape.
    """
    potential.load_state_dict(_saved(potential, description, tensors))


def _saved(potential: Potential, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file by their names in the potential that is built from its description today.

    ``Force`` did not always ask for ``Distance``: potentials without pairs were saved without this layer in front. The
    number of rows of filter tables belonged to the core.
    """
    prepended = len(potential.layers) - len(description["layers"])
    found = {}
    for name in potential.state_dict():
        before = re.sub(r"^layers\.(\d+)", lambda match: f"layers.{int(match[1]) - prepended}", name)
        older = before.replace(".filter_table._extra_state", "._extra_state")
        found[name] = tensors[before if before in tensors else older]
    return found


def _check_shapes(description: Mapping[str, Any], parameters: Mapping[str, Tensor]) -> None:
    """Refuse a description that asks for other parameters than there are, before memory is taken for them.

    A potential with layers of the user's own is built without this check: they need not work without memory.
    """
    names = [description["architecture"], *(entry["name"] for entry in description["layers"])]
    if any(":" in name and not name.startswith("pyg_nnp.") for name in names):
        return
    with torch.device("meta"):
        potential = potential_from_spec(description, None)
    found = _saved(potential, description, parameters)
    for name, expected in potential.state_dict().items():
        if found[name].shape != expected.shape and not name.endswith("_extra_state"):
            raise ValueError(f"description and parameters do not fit together at {name}")


def potential_from_spec(spec: Mapping[str, Any], generator: torch.Generator | None) -> Potential:
    """Build the potential that a saved description stands for, with parameters that are still to be loaded."""
    entries = [(entry["name"], entry["params"]) for entry in spec["layers"]]
    layers, built = build_layers(spec["architecture"], {}, entries, generator, may_import=False)
    kept = {key: value for key, value in spec.items() if key not in (*DOMAIN_KEYS, *_DERIVED)}
    potential = Potential(layers, {**kept, "layers": built})
    # older files do not say what the total charge makes no difference to
    potential.domain = replace(
        TrainingDomain.from_json(spec), blind_to_charge=blind_to("Q", potential.layers, potential.outputs)
    )
    return potential
