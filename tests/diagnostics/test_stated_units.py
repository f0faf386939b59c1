"""Units that the data file states and the configuration does not have are told."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import FEATURES, TARGETS, toy_arrays
from toy import toy_config, write_config

from pyg_nnp.commands import cli


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
