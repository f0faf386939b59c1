"""Dispersion as a term of the energy."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk
from crystal_checks import check_derivatives, check_descriptions, energies
from crystals import periodic_data, some_crystals
from dftd4.ase import DFTD4
from molecules import LAYER_ENTRIES, make_potential, some_molecules
from torch import Tensor
from torch_geometric.data import Batch
from toy import toy_config, write_toy

from pyg_nnp.commands import train
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError
from pyg_nnp.functional.dispersion import damping_of, dispersion_of
from pyg_nnp.layers import Dispersion, Distance, EnergyReduce, Force, Stress
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.potential.potential import Potential

EV = {"Hartree_in_E": 27.211386245981, "Bohr_in_R": 0.529177210544}


def potential_of(method: str = "D3") -> Potential:
    layers = [Distance(), Dispersion("pbe", **EV, method=method), EnergyReduce(["Ea_dispersion"]), Force(), Stress()]
    return Potential(layers).eval()


def with_dispersion(method: str = "D3") -> Potential:
    own = ("Dispersion", {"functional": "pbe", "method": method})
    return make_potential([*LAYER_ENTRIES[:-2], own, *LAYER_ENTRIES[-2:]])


@pytest.mark.parametrize("method", ["D3", "D4"])
def test_energy_and_forces_of_molecules_are_those_of_the_program(method: str) -> None:
    molecules = some_molecules()
    predicted, first = potential_of(method)(Batch.from_data_list(molecules)), 0
    for number, data in enumerate(molecules):
        given = data.Za.numpy(), data.Ra.numpy() / EV["Bohr_in_R"], float(data.Q)
        E, by_Ra, _ = dispersion_of(method, damping_of(method, "pbe", method == "D4"), *given)
        assert float(predicted["E"][number]) == pytest.approx(27.211386245981 * E, rel=1e-12, abs=1e-15)
        forces = predicted["Fa"][first : first + len(data.Za)]
        np.testing.assert_allclose(forces, -by_Ra * 27.211386245981 / 0.529177210544, atol=1e-12)
        first += len(data.Za)


def test_energy_in_cells_does_not_depend_on_how_they_are_described() -> None:
    check_descriptions(potential_of(), [atoms for atoms in some_crystals() if atoms.pbc.all()])


def test_forces_and_stress_in_cells_are_derivatives() -> None:
    # steps so small that no pair crosses 60 Bohr, where energies jump by some 1e-9 Hartree
    systems = [atoms for atoms in some_crystals() if atoms.pbc.all() or not atoms.pbc.any()]
    check_derivatives(potential_of(), [atoms for atoms in systems if len(atoms) > 1], size=2e-6)


@pytest.mark.parametrize("of", [("NaCl", "rocksalt", 5.64), ("Si", "diamond", 5.43), ("MgO", "rocksalt", 4.21)])
def test_D4_of_crystals_is_that_of_its_own_calculator(of: tuple[str, str, float]) -> None:
    name, structure, a = of
    atoms = bulk(name, structure, a=a)
    atoms.rattle(0.05, seed=1)
    predicted = potential_of("D4")(periodic_data(atoms))
    atoms.calc = DFTD4(method="PBE")
    # its Hartree and Bohr are those of other years
    assert float(predicted["E"]) == pytest.approx(atoms.get_potential_energy(), rel=1e-7)
    np.testing.assert_allclose(predicted["Fa"].numpy(), atoms.get_forces(), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(predicted["S"][0].numpy(), atoms.get_stress(), rtol=1e-7, atol=1e-12)


def test_D4_in_cells() -> None:
    """Its charges have an Ewald sum of their own, whose errors are some 1e-6 of the energy."""
    potential, salt = potential_of("D4"), bulk("NaCl", "rocksalt", a=5.64)
    oblique = salt.copy()
    oblique.set_cell([[1, 0, 0], [2, 1, 0], [0, -1, 1]] @ salt.cell)
    oblique.positions[1] += [3, 0, -2] @ salt.cell.array
    E, of_oblique = energies(potential, [salt, oblique]).tolist()
    assert of_oblique == pytest.approx(E, rel=1e-5)
    by_volume, stress = [], potential(periodic_data(salt))["S"][0]
    for stretch in (1 + 1e-4, 1 - 1e-4):
        changed = salt.copy()
        changed.set_cell(stretch * salt.cell, scale_atoms=True)
        by_volume.append(float(energies(potential, [changed])))
    assert float(stress[:3].sum()) == pytest.approx((by_volume[0] - by_volume[1]) / 2e-4 / salt.get_volume(), rel=1e-4)


def test_a_loss_on_forces_has_the_gradients_of_a_potential_without() -> None:
    """Dispersion has no parameters: it is a part of the labels, subtracted."""
    batch = Batch.from_data_list(some_molecules())
    with_it, without = with_dispersion().train(), make_potential().train()
    without.load_state_dict(with_it.state_dict())
    added = potential_of()(batch)

    def gradients(potential: Potential, E: Tensor, Fa: Tensor) -> list[Tensor]:
        predicted = potential(batch)
        loss = (predicted["E"] - E).square().sum() + (predicted["Fa"] - Fa).square().sum()
        loss.backward(inputs=list(potential.parameters()))
        return [parameter.grad for parameter in potential.parameters()]

    hartree = 27.211386245981  # the potential has energies in Hartree
    found = gradients(with_it, torch.zeros(1), torch.zeros(1))
    expected = gradients(without, -added["E"] / hartree, -added["Fa"] / hartree)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_a_training_with_it_is_one_on_labels_without_dispersion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subtracted before and added after, or a layer of the potential: the same energies and forces."""
    monkeypatch.chdir(tmp_path)
    document, damping = toy_config(Trainer__dtype="float64", Trainer__max_epochs=2), damping_of("D3", "pbe", False)
    layers = document["Modelhub"]["FF01"]["layers"]
    dispersion = {"name": "Dispersion", "params": {"functional": "pbe"}}
    folders, bohr = {}, document["Modelhub"]["FF01"]["build_params"]["Bohr_in_R"]
    for name in ("layer", "labels"):
        frames = write_toy(tmp_path)
        for frame in frames if name == "labels" else ():
            E, by_Ra, _ = dispersion_of("D3", damping, frame["atomic_numbers"], frame["coordinates"] / bohr, 0.0)
            frame |= {"energy": frame["energy"] - E, "forces": frame["forces"] - by_Ra / bohr}
        Path("dataset.pkl").write_bytes(pickle.dumps(frames))
        document["Modelhub"]["FF01"]["layers"] = [*layers[:-2], *([dispersion] * (name == "layer")), *layers[-2:]]
        config = config_from_dict(document)
        train.train(config, tmp_path / name)
        folders[name] = tmp_path / name / config.folder_name("FF01")
    batch = MoleculeDataset.from_config(config, tmp_path / "data").batch(range(24))
    found, rest = (load_potential(folders[name])(batch) for name in ("layer", "labels"))
    added = Potential(
        [Distance(), Dispersion("pbe", Hartree_in_E=1, Bohr_in_R=bohr), EnergyReduce(["Ea_dispersion"]), Force()]
    ).eval()(batch)
    for name in ("E", "Fa"):
        torch.testing.assert_close(found[name], rest[name] + added[name], rtol=0, atol=1e-9)
        assert added[name].abs().max() > 1e-5


def test_copies_and_single_precision() -> None:
    batch = Batch.from_data_list(some_molecules(torch.float32))
    expected = with_dispersion().eval()(Batch.from_data_list(some_molecules()))
    found = copy.deepcopy(with_dispersion()).float().eval()(batch)
    for name in ("E", "Fa"):
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-4, atol=1e-4)
        assert found[name].dtype == (torch.float64 if name == "E" else torch.float32)


def test_slabs_are_refused() -> None:
    with pytest.raises(DataError, match=r"not in all directions, and layer 1 \(Dispersion\) sums over images in all"):
        potential_of()(periodic_data(some_crystals()[3]))
