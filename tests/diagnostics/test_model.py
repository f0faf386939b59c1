"""Units that do not go with the model are reported."""

import re
from pathlib import Path

import pytest
from planted import report
from small_set import FRAMES, config

from pyg_nnp.units import HARTREE_IN_KCAL_PER_MOL


def test_energies_without_forces_in_another_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    model, targets = document["Modelhub"]["FF01"], document["Datahub"]["targets"]
    model["layers"] = [entry for entry in model["layers"] if entry["name"] != "Force"]
    for weights in (targets, model["loss"]["rmse"], document["Metrics"]["rmse"]):
        del weights["Fa"]
    document["Datahub"]["transforms"]["negative_gradient"] = False
    code, said = report(document, FRAMES, tmp_path, capsys)
    assert code == 0, said
    planted = [one | {"E": HARTREE_IN_KCAL_PER_MOL * one["E"]} for one in FRAMES]
    code, said = report(document, planted, tmp_path, capsys)
    assert code == 1, said
    assert re.search(r"Hartree_in_E: 1 does not go with the energies, which look like kcal/mol: .* 627\.509", said), (
        said
    )


def test_positions_in_bohr_without_a_unit_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    params = document["Modelhub"]["FF01"]["build_params"]
    for name in ("Hartree_in_E", "Bohr_in_R"):
        del params[name]
    layers = document["Modelhub"]["FF01"]["layers"]
    kept = [entry for entry in layers if entry["name"] != "ElectrostaticEnergy"]
    # what else reads the total charge
    core = [entry["name"] for entry in kept].index("Core")
    document["Modelhub"]["FF01"]["layers"] = [*kept[:core], {"name": "ChargeEmbedding"}, *kept[core:]]
    moved = [
        one | {"Ra": one["Ra"] / 0.529177, "Fa": one["Fa"] * 0.529177, "M2": one["M2"] / 0.529177} for one in FRAMES
    ]
    code, said = report(document, moved, tmp_path, capsys)
    assert code == 1, said
    assert "cutoff_sr: the positions look like Bohr" in said
    params["cutoff_sr"] = 8.0
    code, said = report(document, moved, tmp_path, capsys)
    assert code == 0, said
