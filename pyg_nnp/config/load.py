"""Reading, checking and writing configuration files."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pyg_nnp.config.explain import explained
from pyg_nnp.config.schema import Config
from pyg_nnp.config.yaml_reader import format_yaml, read_yaml
from pyg_nnp.errors import ConfigError


def load_config(path: str | Path) -> Config:
    """Read a configuration file.

    Args:
        path: a YAML file.

    Raises:
        ConfigError: the file cannot be read, or is no valid configuration; names the first problems.
    """
    return config_from_dict(read_yaml(Path(path)), str(path))


def config_from_dict(document: Any, source: str = "configuration") -> Config:
    """Check a configuration that was read already.

    Args:
        document: what the YAML file holds, in any of the accepted spellings.
        source: name of the file, for messages.

    Raises:
        ConfigError: not a valid configuration; names the first problems.
    """
    if document is None:
        raise ConfigError(f"{source}: the file is empty; it needs the sections Datahub and Modelhub.")
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explained(error, Config)}") from error
    config._source = source
    return config


def dump_config(config: Config) -> str:
    """Return the canonical YAML of a configuration: all keys in the order of the schema, defaults written out."""
    return format_yaml(config.model_dump())
