"""Reference energies that cannot go with the energies are told."""

from pathlib import Path

import pytest
from toy import toy_config, write_toy

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.references import check_references
from pyg_nnp.errors import DataError


@pytest.mark.parametrize(
    ("factor", "error", "said"),
    [
        (1.0, None, ""),
        (0.4, None, "of E remain for each atom without these atomic energies; bonds are worth less."),
        (0.0367493, None, "atomic_energy.csv: these atomic energies are hardly a part of E"),  # in Hartree
        (-1.0, DataError, "in the unit and with the sign of 'energy', from the same method"),
        (27.2114, DataError, "in the unit and with the sign of 'energy', from the same method"),
    ],
)
def test_reference_energies(
    factor: float, error: type[DataError] | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    read = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(read, tmp_path / "out")
    dataset.atomic_energies = {Z: factor * energy for Z, energy in dataset.atomic_energies.items()}
    findings = check_references(read, dataset)
    assert len(findings) == bool(said)
    for finding in findings:
        assert (finding.kind, finding.error) == ("reference energies", error)
        assert said in str(finding)


def test_energies_of_formation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of atoms, relative to crystals of them, are far from the mean of the data, but a few eV an atom."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    read = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(read, tmp_path / "out")
    summary, hartree = dataset.summary, read.units.hartree
    summary.E[:] = 0.1 * hartree / 27.2114 * summary.sizes
    dataset.atomic_energies = dict.fromkeys(dataset.elements, 3.5 * hartree / 27.2114)  # 3.4 eV an atom below them
    assert not check_references(read, dataset)
