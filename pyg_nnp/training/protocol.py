"""The protocol of a training: configuration and data, which must be the same when it is resumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError
from pyg_nnp.runtime.files import finite
from pyg_nnp.training.environment import changes

_MOST_CHANGES = 5


def protocol_of(config: Config, name: str, dataset: MoleculeDataset) -> dict[str, Any]:
    """Return all of configuration and data that the result of a training depends on, as nested JSON-like dicts."""
    document = config.model_dump(mode="json")
    model, trainer = document["Modelhub"]["internal_FFs"][name], document["Trainer"]
    for key in ("active", "suffix"):
        del model[key]
    for key in ("cuda", "num_workers", "report", "resume", "tensorboard"):
        del trainer[key]
    for key in ("save", "preload"):
        del trainer["Splitter"][key]
    kept = {"Modelhub": {name: model}, "Trainer": trainer, "Metrics": document["Metrics"]}
    transforms = document["Datahub"]["transforms"]
    # the hash covers content, mapping and options of the data; normalization is done after it
    kept["Datahub"] = {"transforms": transforms, "content and options": dataset.hash}
    result: dict[str, Any] = finite(kept)
    return result


def refuse_changes(saved: Mapping[str, Any], protocol: Mapping[str, Any], path: Path, place: str) -> None:
    """Refuse to resume another training than the one that was saved.

    Args:
        saved: the protocol of the saved training.
        protocol: that of the present one.
        path: of the file that was saved.
        place: name of the configuration in messages.

    Raises:
        ConfigError: they differ.
    """
    found = list(changes(saved, protocol))
    if found:
        more = len(found) - _MOST_CHANGES
        listed = "; ".join(found[:_MOST_CHANGES]) + (f"; and {more} more" if more > 0 else "")
        raise ConfigError(
            f"{place}: {path} cannot go on, since this is not the training that was stopped: {listed}. "
            "Put back what was changed, or start a new training with another -o or suffix; with pretrained in the "
            "model it begins with the parameters of this one."
        )
