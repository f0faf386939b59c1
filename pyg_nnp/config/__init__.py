"""The configuration file: its schema, the types of its values, its messages, and how YAML is read."""

from pyg_nnp.config.datahub import Datahub, Transforms
from pyg_nnp.config.explain import explained
from pyg_nnp.config.load import config_from_dict, dump_config, load_config
from pyg_nnp.config.schema import Config
from pyg_nnp.config.section import Section
from pyg_nnp.config.trainer import Splitter, Trainer
from pyg_nnp.config.types import Weights

__all__ = [
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
