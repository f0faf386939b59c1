"""A valid configuration, changes of it, and any values that YAML can hold."""

import copy
from typing import Any

from hypothesis import strategies as st

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.config.yaml_reader import parse_yaml

REMOVED = object()
BASE = """
Datahub:
  data_path: d.pkl
  data_format: pickle
  features: {Ra: coordinates, Za: atomic_numbers}
  targets: {E: energy, Fa: forces}
  transforms: {}
Modelhub:
  internal_FFs:
    FF01:
      architecture: SchNet
      layers:
        - name: Core
          params: {num_interactions: 4}
        - name: Force
      loss: {rmse: {E: 1, Fa: 50}}
Trainer: {Splitter: {}}
Metrics: {}
"""


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the base with values set or removed at paths such as ``Trainer/seed``; FF stands for the model."""
    document = parse_yaml(BASE, "base")
    for path, value in changes.items():
        place: Any = document
        *keys, last = path.replace("FF/", "Modelhub/internal_FFs/FF01/").split("/")
        for key in keys:
            place = place[int(key) if key.isdigit() else key]
        if value is REMOVED:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = copy.deepcopy(value)
    return document


def read(changes: dict[str, Any]) -> Config:
    return config_from_dict(changed(changes), "train.yaml")


FF01 = parse_yaml(BASE, "base")["Modelhub"]["internal_FFs"]["FF01"]

# texts that YAML would take for something else
ODD = """1e-3 .5e-2 -.5 1E5 on No null ~ 2024-01-01 = << 0x1F 1:30 1_000 010 .inf - ? : # ' " | > & * ! % @ ` [ { ,"""
odd_texts = st.sampled_from(
    [*ODD.split(), "", " ", "\t", "\n", "\r\n", "\x85", "\u2028", "\ufeff", " x ", "a: b", "a #b", "- a"]
)
texts = odd_texts | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3), max_leaves=8
)
