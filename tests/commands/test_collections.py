"""Files of the layout of public collections: from ``init`` to ``evaluate`` with no key changed by hand."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from collection_files import (
    Frame,
    Writer,
    molecules,
    write_aimnet2,
    write_ani1ccx,
    write_ani1x,
    write_comp6,
    write_mace,
    write_md17,
    write_md22,
    write_omol25,
    write_physnet,
    write_qm7x,
    write_qm9,
    write_qm9_npz,
    write_rmd17,
    write_spice,
    write_torchmd_net,
    write_torchmd_net_npz,
    write_transition1x,
)
from numpy.testing import assert_allclose
from toy import ATOM_ENERGIES

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

NEUTRAL, CHARGED, ONE = ("CH3CH2OH", "H2O"), ("CH3CH2OH", "CH3O"), ("CH3CH2OH",)
EV, KCAL = HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL
COLLECTIONS = [
    # writer, molecules, one Hartree, one Bohr, labels
    (write_spice, CHARGED, 1.0, 1.0, "E Fa Qa M2"),
    (write_ani1x, NEUTRAL, 1.0, BOHR_IN_ANGSTROM, "E Fa Qa M2"),
    (write_ani1ccx, NEUTRAL, 1.0, BOHR_IN_ANGSTROM, "E"),
    (write_comp6, NEUTRAL, 1.0, BOHR_IN_ANGSTROM, "E Fa"),
    (write_qm7x, NEUTRAL, EV, BOHR_IN_ANGSTROM, "E Fa Qa M2"),
    (write_transition1x, NEUTRAL, EV, BOHR_IN_ANGSTROM, "E Fa"),
    (write_aimnet2, CHARGED, EV, BOHR_IN_ANGSTROM, "E Fa Qa M2"),
    (write_torchmd_net, NEUTRAL, EV, BOHR_IN_ANGSTROM, "E Fa"),
    (write_torchmd_net_npz, ONE, EV, BOHR_IN_ANGSTROM, "E Fa"),
    (write_qm9, NEUTRAL, 1.0, BOHR_IN_ANGSTROM, "E Qa"),
    (write_qm9_npz, NEUTRAL, 1.0, BOHR_IN_ANGSTROM, "E"),
    (write_md17, ONE, KCAL, BOHR_IN_ANGSTROM, "E Fa"),
    (write_md22, ONE, KCAL, BOHR_IN_ANGSTROM, "E Fa"),
    (write_rmd17, ONE, KCAL, BOHR_IN_ANGSTROM, "E Fa"),
    (write_physnet, CHARGED, EV, BOHR_IN_ANGSTROM, "E Fa M2"),
    (write_omol25, CHARGED, EV, BOHR_IN_ANGSTROM, "E Fa"),
    (write_mace, CHARGED, EV, BOHR_IN_ANGSTROM, "E Fa Qa M2"),
]


@pytest.mark.parametrize(("write", "names", "hartree", "bohr", "labels"), COLLECTIONS)
def test_a_known_collection_trains_as_init_has_written_it(
    write: Writer,
    names: tuple[str, ...],
    hartree: float,
    bohr: float,
    labels: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = molecules(names)
    data = write(tmp_path, frames)
    assert cli.main(["init", data.name]) == 0
    config = pyg_nnp.load_config("train.yaml")
    assert config.units.hartree == pytest.approx(hartree)
    assert config.units.bohr == pytest.approx(bohr)
    assert set(config.Datahub.targets) == set(labels.split())
    length = bohr / BOHR_IN_ANGSTROM
    _compare_with_what_was_put_in(config, frames, hartree, length, of_atomisation=write is write_physnet)
    # a smaller model, for the sake of time
    text = Path("train.yaml").read_text()
    for key in ("num_rbf", "hidden_channels", "dim_embedding"):
        text = re.sub(rf"{key}: \d+", f"{key}: 8", text)
    Path("short.yaml").write_text(re.sub("max_time: .*", "max_epochs: 2\n  report: false", text))
    assert cli.main(["check", "short.yaml", "-o", "out"]) == 0, caplog.text
    assert cli.main(["train", "short.yaml", "-o", "out"]) == 0
    assert cli.main(["evaluate", "out/FF01-Cartesian", data.name, "--json", "errors.json"]) == 0
    rows = yaml.safe_load(Path("errors.json").read_text())
    assert set(labels.split()) <= set(rows)


def _compare_with_what_was_put_in(
    config: Config, frames: list[Frame], hartree: float, length: float, *, of_atomisation: bool
) -> None:
    """Compare the data set with the molecules, which are in another order perhaps, in Hartree, Å and e."""
    dataset = MoleculeDataset.from_config(config, "out")
    found = [dataset[i] for i in dataset.molecules.tolist()]
    assert len(found) == len(frames)
    for one in found:
        Ra = one.Ra.numpy() / length
        alike = [frame for frame in frames if frame["N"] == one.num_nodes]
        right = min(alike, key=lambda frame: float(abs(frame["Ra"] - Ra).max()))
        assert_allclose(Ra, right["Ra"], atol=1e-5)
        assert one.Za.tolist() == right["Za"].tolist()
        assert float(one.Q) == right["Q"]
        atoms = sum(ATOM_ENERGIES[Z] for Z in right["Za"]) if of_atomisation else 0.0
        assert float(one.E) / hartree == pytest.approx(right["E"] - atoms, abs=1e-6)
        if "Fa" in one:
            assert_allclose(one.Fa.numpy() / hartree * length, right["Fa"], atol=1e-5)
        if "Qa" in one and not torch.isnan(one.Qa).any():
            assert_allclose(one.Qa.numpy(), right["Qa"], atol=1e-6)
        if "M2" in one and not torch.isnan(one.M2).any():
            assert_allclose(one.M2.numpy()[0] / length, right["M2"], atol=1e-5)


def test_coupled_cluster_energies_of_ani1x(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the files of ANI-1x half of the frames have them, and no forces go with them."""
    monkeypatch.chdir(tmp_path)
    frames = molecules(NEUTRAL)
    write_ani1x(tmp_path, frames)
    assert cli.main(["init", "ani1x.h5", "--map", "E=ccsd(t)_cbs.energy"]) == 0
    config = pyg_nnp.load_config("train.yaml")
    assert config.Datahub.targets == {"E": "ccsd(t)_cbs.energy"}
    assert config.Datahub.allow_missing == ["E"]
    assert config.units.hartree == pytest.approx(1.0)
    dataset = MoleculeDataset.from_config(config, "out")
    found = dataset.E[~torch.isnan(dataset.E)].numpy()
    assert_allclose(found, [one["E"] - 0.5 for number, one in enumerate(frames) if number % 2 == 0], atol=1e-6)
