"""Units that do not go with the model are reported."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import FEATURES, TARGETS, toy_arrays
from planted import report
from small_set import FRAMES, config
from toy import toy_config, write_config

from pyg_nnp.commands import cli
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
    document["Modelhub"]["FF01"]["layers"] = [entry for entry in layers if entry["name"] != "ElectrostaticEnergy"]
    moved = [
        one | {"Ra": one["Ra"] / 0.529177, "Fa": one["Fa"] * 0.529177, "M2": one["M2"] / 0.529177} for one in FRAMES
    ]
    code, said = report(document, moved, tmp_path, capsys)
    assert code == 1, said
    assert "cutoff_sr: the positions look like Bohr" in said
    params["cutoff_sr"] = 8.0
    code, said = report(document, moved, tmp_path, capsys)
    assert code == 0, said


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"energy_unit": "Hartree", "length_unit": "Ang"}, []),
        ({"units": "a.u./Ang"}, []),
        ({"E_unit": "eV"}, ["Hartree_in_E: 1 means Hartree, but toy.npz is in eV, as 'E_unit' says. Set it to 27.21"]),
        ({"r_unit": b"Bohr"}, ["Bohr_in_R: 0.529177 means Å, but toy.npz is in Bohr, as 'r_unit' says. Set it to 1,"]),
        ({"units": "kcal/mol, nm"}, ["Hartree_in_E: 1 means Hartree", "Bohr_in_R: 0.529177 means Å"]),
        (
            {"force_unit": "Hartree/Bohr", "E_unit": "Hartree", "R_unit": "Å"},
            ["Hartree/Å: multiply by 1.88972613"],
        ),
        ({"dipole_unit": "Debye", "R_unit": "Å"}, ["it has to be e Å: multiply by 0.208194"]),
        ({"units": "mine"}, ["toy.npz: 'units' is 'mine', which is no known unit."]),
    ],
)
def test_units_that_the_file_states(
    folder: Path, capsys: pytest.CaptureFixture[str], texts: dict[str, str | bytes], expected: list[str]
) -> None:
    """They are compared with the configuration before a training, and by check."""
    arrays, sources = toy_arrays(), FEATURES | TARGETS
    np.savez("toy.npz", **{sources[name]: arrays[name] for name in sources}, **texts)
    document = toy_config(Datahub__data_path="toy.npz", Datahub__data_format="npz", Trainer__max_epochs=1)
    write_config(folder, yaml.safe_dump(document))
    assert cli.main(["check", "train.yaml", "-o", "out"]) == (1 if expected else 0)
    told = capsys.readouterr().err
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    trained = capsys.readouterr().err
    for said in (told, trained):
        assert all(text in said for text in expected), said
    assert ("WARNING" in told) == bool(expected)
