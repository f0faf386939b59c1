from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.config import Transforms
from pyg_nnp.data import MoleculeDataset, reference_energies
from pyg_nnp.data.references import read_atomic_energies
from pyg_nnp.errors import ConfigError, DataError

ALL = slice(None)
TRUE = {1: -0.5, 2: -2.9, 8: -74.8, 11: -161.8}
OpenDataset = Callable[..., MoleculeDataset]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "atoms.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_symbols_and_energies(tmp_path: Path) -> None:
    # a spreadsheet's byte order mark, spaces, a column of notes, an empty line
    path = write(tmp_path, "\ufeffatom_type, atomic_energy,note\nH, -0.5,PBE\n\nOg,-1e3,\n")
    assert read_atomic_energies(path) == {1: -0.5, 118: -1000.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: there is no column 'atom_type'\. It is empty\."),
        ("atom,energy\nH,1\n", r"line 1: there is no column 'atom_type'\. Did you mean 'atom'\?"),
        ("atom_type,energy\nH,1\n", r"line 1: there is no column 'atomic_energy'\. .* has: atom_type, energy\."),
        ("atom_type;atomic_energy\nH;1\n", r"line 1: there is no column 'atom_type'.* has: atom_type;atomic_energy\."),
        ("atom_type,atomic_energy\nH,-0.5\nO,x\n", r"line 3: the atomic_energy of O is 'x', which is not a number\."),
        ("atom_type,atomic_energy\nH,nan\n", r"line 2: the atomic_energy of H is 'nan'"),
        ("atom_type,atomic_energy\nH\n", r"line 2: the atomic_energy of H is ''"),
        ("atom_type,atomic_energy\nH,1\nH,2\n", r"line 3: H has an energy already\."),
        ("atom_type,atomic_energy\nCL,1\n", r"line 2: 'CL' is not the symbol of an element\. Did you mean 'Cl'\?"),
        ("atom_type,atomic_energy\nX,1\n", r"line 2: 'X' is not the symbol of an element\."),
        ("atom_type,atomic_energy\n1,1\n", r"line 2: '1' is not the symbol of an element\."),
    ],
)
def test_refuses_what_is_no_table_of_energies(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"atoms\.csv: " + message):
        read_atomic_energies(write(tmp_path, text))


def test_refuses_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "atoms.csv"
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match=r"this is not a CSV text file"):
        read_atomic_energies(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Datahub\.transforms\.atomic_energy: there is no file '.*nowhere\.csv'"):
        read_atomic_energies(tmp_path / "nowhere.csv")


def with_energies(frames: list[dict[str, Any]], shift: float = 0.0) -> list[dict[str, Any]]:
    return [frame | {"E": sum(TRUE[Z] for Z in frame["Za"].tolist()) + shift} for frame in frames]


def test_given_energies_come_from_the_store(frames: list[dict[str, Any]], open_dataset: OpenDataset) -> None:
    found = reference_energies(open_dataset(frames, energies=TRUE), Transforms(atomic_energy="atoms.csv"))
    assert found.atomic_energies.shape == (119,)
    assert found.atomic_energies.dtype == torch.float64
    assert {Z: found.atomic_energies[Z].item() for Z in TRUE} == TRUE
    assert found.atomic_energies.sum().item() == pytest.approx(sum(TRUE.values()))
    assert found.shift == 0.0


def test_zero_unless_asked_for(frames: list[dict[str, Any]], open_dataset: OpenDataset) -> None:
    found = reference_energies(open_dataset(frames), Transforms())
    assert not found.atomic_energies.any()
    assert found.shift == 0.0


def test_fit_finds_the_energies_that_made_the_totals(
    frames: list[dict[str, Any]], open_dataset: OpenDataset, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pyg_nnp")
    found = reference_energies(open_dataset(with_energies(frames)), Transforms(atomic_energy="fit"))
    assert "other compositions" not in caplog.text
    assert {Z: found.atomic_energies[Z].item() for Z in TRUE} == pytest.approx(TRUE, rel=1e-12)


def test_fit_looks_at_the_training_part_alone(frames: list[dict[str, Any]], open_dataset: OpenDataset) -> None:
    dataset = open_dataset([*with_energies(frames), frames[0] | {"E": 1e6}])
    found = reference_energies(dataset, Transforms(atomic_energy="fit"), torch.tensor([2, 0, 3, 1]))
    assert {Z: found.atomic_energies[Z].item() for Z in TRUE} == pytest.approx(TRUE, rel=1e-12)


def test_fit_of_one_molecule_is_the_smallest_that_explains_it(
    waters: list[dict[str, Any]], open_dataset: OpenDataset, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pyg_nnp")
    found = reference_energies(open_dataset([w | {"E": -76.0} for w in waters]), Transforms(atomic_energy="fit"))
    assert "For molecules of these compositions it makes no difference" in caplog.text
    # 2 h + o = -76 with h^2 + o^2 smallest: (h, o) parallel to (2, 1)
    assert found.atomic_energies[1].item() == pytest.approx(-76 * 2 / 5)
    assert found.atomic_energies[8].item() == pytest.approx(-76 * 1 / 5)


def test_fit_needs_every_element_in_the_training_part(frames: list[dict[str, Any]], open_dataset: OpenDataset) -> None:
    dataset = open_dataset(frames)
    with pytest.raises(
        DataError, match=r"no frame of the training part with an energy has He, Na, but other frames have"
    ):
        reference_energies(dataset, Transforms(atomic_energy="fit"), torch.tensor([0, 2]))


def test_only_energies_that_are_there_and_count_are_fitted(
    frames: list[dict[str, Any]], open_dataset: OpenDataset
) -> None:
    """Of frames without energy and of weight 0 nothing is left, as if they were not there."""
    right = [frame | {"E": sum(TRUE[Z] for Z in frame["Za"].tolist()), "weight": 2.0} for frame in frames]
    wrong = [frame | {"E": np.nan} for frame in right] + [frame | {"E": 1e6, "weight": 0.0} for frame in right]
    transforms = Transforms(atomic_energy="fit", total_energy_normalization=True)
    found = reference_energies(open_dataset(right + wrong), transforms)
    expected = reference_energies(open_dataset(right), transforms)
    torch.testing.assert_close(found.atomic_energies, expected.atomic_energies, rtol=1e-12, atol=0)
    assert found.shift == pytest.approx(0, abs=1e-9)
    with pytest.raises(DataError, match="no frame of the training part has an energy"):
        reference_energies(open_dataset(right + wrong), transforms, torch.tensor([4, 8]))


@pytest.mark.parametrize("source", ["atoms.csv", "fit", None])
def test_normalization_leaves_a_mean_of_zero(
    frames: list[dict[str, Any]], open_dataset: OpenDataset, source: str | None
) -> None:
    dataset = open_dataset(frames, energies=TRUE if source == "atoms.csv" else None)
    transforms = Transforms(atomic_energy=source, total_energy_normalization=True)
    training = torch.tensor([0, 1, 2, 3] if source == "fit" else [0, 2])
    found = reference_energies(dataset, transforms, training)
    left = [
        dataset[i].E.item() - found.atomic_energies[dataset[i].Za].sum().item() - found.shift for i in training.tolist()
    ]
    assert np.mean(left) == pytest.approx(0.0, abs=1e-12)
    if source == "atoms.csv":
        expected = np.mean([frames[i]["E"] - sum(TRUE[Z] for Z in frames[i]["Za"].tolist()) for i in (0, 2)])
        assert found.shift == pytest.approx(expected, rel=1e-12)


def test_fit_needs_energies(frames: list[dict[str, Any]], open_dataset: OpenDataset) -> None:
    without = [{name: value for name, value in frame.items() if name != "E"} for frame in frames]
    with pytest.raises(ConfigError, match=r"atomic_energy: fit needs E"):
        reference_energies(open_dataset(without), Transforms(atomic_energy="fit"))
