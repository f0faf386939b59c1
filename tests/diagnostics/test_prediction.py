"""A feature that varies and that no layer reads is told."""

import re
from pathlib import Path
from typing import Any

import pytest
from planted import Frame, report
from small_set import FRAMES, config

UNREAD = r"'total_charge' \(Q\) goes from 0 to 1, but makes no difference to what FF01 predicts for {}: no layer that"


def without(document: dict[str, Any], *layers: str) -> dict[str, Any]:
    """Remove layers, and from the loss what is no longer predicted."""
    model = document["Modelhub"]["FF01"]
    model["layers"] = [entry for entry in model["layers"] if entry["name"] not in layers]
    gone = {"AtomicCharge2Dipole": "M2", "ElectrostaticEnergy": "", "ChargeConservation": ""}
    for layer in layers:
        for weights in (model["loss"]["rmse"], document["Metrics"]["rmse"], document["Datahub"]["targets"]):
            weights.pop(gone[layer], None)
    return document


def only(document: dict[str, Any], *labels: str) -> dict[str, Any]:
    """Keep some labels in targets and loss."""
    hub, model = document["Datahub"], document["Modelhub"]["FF01"]
    hub["targets"] = {name: source for name, source in hub["targets"].items() if name in labels}
    model["loss"] = document["Metrics"] = {"rmse": dict.fromkeys(labels, 1)}
    return document


def with_embedding(document: dict[str, Any]) -> dict[str, Any]:
    document["Modelhub"]["FF01"]["layers"].insert(3, {"name": "ChargeEmbedding"})
    return document


CHARGE_LAYERS = ("ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy")


@pytest.mark.parametrize(
    ("document", "blind"),
    [
        (config(), ""),
        (without(config(), *CHARGE_LAYERS), "E, Fa, Qa"),
        (only(without(config(), *CHARGE_LAYERS), "E", "Fa"), "E, Fa"),
        (with_embedding(only(without(config(), *CHARGE_LAYERS), "E", "Fa")), ""),
        # charges depend on Q, energies do not
        (without(config(), "ElectrostaticEnergy"), "E, Fa"),
        # charges are not conserved, so that neither they nor their energy depend on Q
        (without(config(), "ChargeConservation"), "E, Fa, Qa, M2"),
    ],
)
def test_total_charges_that_differ(
    document: dict[str, Any], blind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = report(document, FRAMES, tmp_path, capsys)
    found = re.search(UNREAD.format(blind), " ".join(said.split()))
    assert (code, bool(found)) == ((1, True) if blind else (0, False)), said
    assert ("Add the layer ChargeEmbedding before Core" in said) == bool(blind)


def test_total_charges_that_are_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = only(without(config(), *CHARGE_LAYERS), "E", "Fa")
    cations: list[Frame] = [frame | {"Q": 1.0} for frame in FRAMES if frame["Q"] == 1]
    code, said = report(document, cations, tmp_path, capsys)
    assert "makes no difference" not in said
    assert code == 0, said
