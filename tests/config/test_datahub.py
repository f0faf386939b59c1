"""Mistakes in Datahub, and what is said of each."""

import re
from typing import Any

import pytest
from configurations import REMOVED, read

from pyg_nnp.errors import ConfigError

DATAHUB_KEYS = (
    "It takes: data_path, data_format, features, targets, allow_missing, group_weights, compression, preload, "
    "in_memory, transforms."
)

MISTAKES: list[tuple[dict[str, Any], str]] = [
    # unknown keys, at every level
    ({"Datahub/data_paht": "x"}, f"Datahub: unknown key 'data_paht'. Did you mean 'data_path'? {DATAHUB_KEYS}"),
    ({"Datahub/batch_size": 3}, f"Datahub: unknown key 'batch_size'. It belongs under Trainer. {DATAHUB_KEYS}"),
    (
        {"Datahub/negative_gradient": True},
        "Datahub: unknown key 'negative_gradient'. It belongs under Datahub.transforms.",
    ),
    ({"Datahub/transforms/atomic": "x"}, "Datahub.transforms: unknown key 'atomic'. Did you mean 'atomic_energy'?"),
    # given twice
    ({"Datahub/compressed": True, "Datahub/compression": True}, "Datahub: 'compressed' and 'compression' mean the"),
    # missing and empty
    ({"Datahub": REMOVED}, "'Datahub' is missing: the data set."),
    ({"Datahub": None}, "Datahub: expects a mapping, but is empty."),
    (
        {"Datahub/data_path": REMOVED},
        "Datahub: 'data_path' is missing: data file, folder of such files, pattern such as",
    ),
    ({"Datahub/data_path": None}, "Datahub.data_path: expects text, or a list of texts, but is empty."),
    ({"Datahub/data_path": 3}, "Datahub.data_path: expects text, or a list of texts, found 3 (whole number)."),
    ({"Datahub/data_path": []}, "Datahub.data_path: is empty, but needed."),
    ({"Datahub/data_path": ["a", 3]}, "Datahub.data_path[1]: expects text, found 3 (whole number)."),
    ({"Datahub/data_path": ["a", ""]}, "Datahub.data_path[1]: is empty, but needed."),
    ({"Datahub/data_path": ""}, "Datahub.data_path: is empty, but needed."),
    ({"Datahub/targets": {}}, "Datahub.targets: at least one target is needed, of E, Fa, Qa, M2, S."),
    # wrong structure
    ({"Datahub/features": ["Ra"]}, "Datahub.features: expects a mapping, found a list."),
    # wrong types
    ({"Datahub/targets/Qa": 5}, "Datahub.targets.Qa: expects text, found 5 (whole number); put it in quotes"),
    # values out of range
    (
        {"Datahub/data_format": "pikle"},
        "Datahub.data_format: expects one of pickle, npz, hdf5, qm9, extxyz, ase, aselmdb, found",
    ),
    # fields
    ({"Datahub/features": {"Ra": None}}, "Datahub.features: 'Za' is missing; write 'Za: ' and the name of the atomic"),
    ({"Datahub/features/coordinates": "Ra"}, "Datahub.features.coordinates: the standard name comes first; write 'Ra:"),
    ({"Datahub/features/z": "n"}, "Datahub.features.z: unknown standard name. Did you mean 'Za: n'? There are: N"),
    ({"Datahub/targets/FA": "f"}, "Datahub.targets.FA: unknown standard name. Did you mean 'Fa'? There are: E (total"),
    ({"Datahub/features/E": "x"}, "Datahub.features.E: 'E' is one of the targets; move it to Datahub.targets."),
    ({"Datahub/targets/Q": "x"}, "Datahub.targets.Q: 'Q' is one of the features; move it to Datahub.features."),
    ({"Datahub/targets/Qa": "energy"}, "Datahub.targets.Qa: 'energy' is already what targets.E is read from."),
    ({"Datahub/targets/Qa": "coordinates"}, "Datahub.targets.Qa: 'coordinates' is already what features.Ra is read"),
    # labels that may be missing, weights
    (
        {"Datahub/allow_missing": ["E", "FA"]},
        "Datahub.allow_missing[1]: 'FA' is none of the targets. Did you mean 'Fa'",
    ),
    ({"Datahub/allow_missing": ["Q"]}, "Datahub.allow_missing[0]: 'Q' is none of the targets. There are: E, Fa"),
    ({"Datahub/allow_missing": True}, "Datahub.allow_missing: expects a list, found true"),
    ({"Datahub/group_weights": {"bulk": 2.0}}, "Datahub.group_weights: the name of the groups in the data is missing"),
    ({"Datahub/features/group": "kind"}, "Datahub.features.group: groups have no weights; give group_weights"),
    (
        {"Datahub/features/group": "kind", "Datahub/group_weights": {"bulk": -1.0}},
        "Datahub.group_weights.bulk: must be at least 0, found -1",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message[:50] for _, message in MISTAKES])
def test_mistake_is_explained(changes, message):
    with pytest.raises(ConfigError, match="^train.yaml: " + re.escape(message)):
        read(changes)
