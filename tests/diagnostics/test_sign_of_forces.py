"""init finds out whether forces are gradients."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from crystal_sets import NAMES, said, strained_crystals, warnings

from pyg_nnp.diagnostics.first_config import first_config

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/alanine_dipeptide"


@pytest.mark.parametrize(
    ("labels", "evidence"),
    [(("energy", "forces"), "by the energies of near frames"), (("forces",), "by the stretching of bonds of hydrogen")],
)
@pytest.mark.parametrize("name", ["forces", "gradients"])
def test_init_finds_out_whether_forces_are_gradients(
    labels: tuple[str, ...], evidence: str, name: str, tmp_path: Path
) -> None:
    """What the file is called says less than what energies and bonds do; some labels are missing."""
    with (EXAMPLE / "dataset.pkl").open("rb") as file:
        frames = pickle.load(file)[:300]  # with gradients
    for number, frame in enumerate(frames):
        # of forces the force on one atom alone may be missing
        frame["forces"][0] *= np.nan if number % 3 == 0 else 1
    for sign in (1, -1):
        kept = [
            {key: frame[key] for key in ("coordinates", "atomic_numbers", *set(labels) & {"energy"})}
            | {name: sign * frame["forces"]}
            for frame in frames
        ]
        (tmp_path / "some.pkl").write_bytes(pickle.dumps(kept))
        text, guesses = first_config(tmp_path / "some.pkl", {})
        hub = yaml.safe_load(text)["Datahub"]
        assert hub["transforms"]["negative_gradient"] == (sign == 1)
        assert hub["allow_missing"] == ["Fa"]
        assert f"CHECK: {evidence}" in text
        assert (f"Fa are taken for gradients, minus the forces, {evidence}" in guesses) == (sign == 1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", NAMES)
def test_strained_crystals_say_it(name: str, sign: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their name all are forces, and no two frames are near each other."""
    text = said(strained_crystals(name), tmp_path, capsys, of_forces=lambda atoms: sign * atoms.get_forces())
    assert warnings(text) == []
    written = (tmp_path / "train.yaml").read_text()
    assert yaml.safe_load(written)["Datahub"]["transforms"]["negative_gradient"] == (sign == -1)
    assert "CHECK: by the energies of near frames" in written
