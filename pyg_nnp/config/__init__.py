"""The configuration file: its schema, the types of its values, its messages, and how YAML is read."""

from pyg_nnp.config.datahub import Datahub, Transforms
from pyg_nnp.config.modelhub import PER_ATOM, Weights
from pyg_nnp.config.schema import Config, config_from_dict, dump_config, explained, load_config
from pyg_nnp.config.section import Section
from pyg_nnp.config.trainer import Splitter, Trainer

__all__ = [
    "PER_ATOM",
    "Config",
    "Datahub",
    "Section",
    "Splitter",
    "Trainer",
    "Transforms",
    "Weights",
    "config_from_dict",
    "dump_config",
    "explained",
    "load_config",
]
