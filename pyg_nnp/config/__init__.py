"""The configuration file: its schema, the types of its values, its messages, and how YAML is read."""

from pyg_nnp.config.datahub import Datahub, Transforms
from pyg_nnp.config.loss import PER_ATOM, Weight, Weights, any_changes, delta_of, fields_of, is_used, weight_at
from pyg_nnp.config.messages import explained
from pyg_nnp.config.schema import Config, config_from_dict, dump_config, load_config
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
    "Weight",
    "Weights",
    "any_changes",
    "config_from_dict",
    "delta_of",
    "dump_config",
    "explained",
    "fields_of",
    "is_used",
    "load_config",
    "weight_at",
]
