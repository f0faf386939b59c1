"""TorchSim gets the numbers that ASE's calculator has, for many systems at once."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from engine_systems import of_crystals, of_molecules, some_of_both

import pyg_nnp
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.layers import Stress
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential

with warnings.catch_warnings():
    # its own import
    warnings.simplefilter("ignore")
    ts = pytest.importorskip("torch_sim")
    from torch_sim.models.interface import validate_model_outputs

    from pyg_nnp.inference.engines.torchsim import PygNnpModel

CPU = torch.device("cpu")


def state_of(systems: list[Atoms], dtype: torch.dtype = torch.float64) -> "ts.SimState":
    return ts.io.atoms_to_state(systems, CPU, dtype)


@pytest.mark.parametrize("charge", [0.0, 1.0])
@pytest.mark.parametrize("is_periodic", [False, True])
def test_results_are_those_of_the_calculator(is_periodic: bool, charge: float) -> None:
    potential = of_crystals() if is_periodic else of_molecules()
    systems = some_of_both()[is_periodic]
    results = PygNnpModel(potential, charge=charge, device="cpu")(state_of(systems))
    calculator = PotentialCalculator(potential, charge=charge)
    first = 0
    for number, atoms in enumerate(systems):
        own = slice(first, first := first + len(atoms))
        calculator.calculate(atoms)
        expected = calculator.results
        np.testing.assert_allclose(results["energy"][number], expected["energy"], rtol=1e-10)
        np.testing.assert_allclose(results["forces"][own], expected["forces"], atol=1e-10)
        np.testing.assert_allclose(results["charges"][own], expected["charges"], atol=1e-12)
        if is_periodic:
            xx, yy, zz, yz, xz, xy = expected["stress"]
            full = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
            np.testing.assert_allclose(results["stress"][number], full, atol=1e-12)
        else:
            np.testing.assert_allclose(results["dipole"][number], expected["dipole"], atol=1e-10)
    assert ("stress" in results) == is_periodic


def test_it_is_a_model_of_torch_sim() -> None:
    validate_model_outputs(PygNnpModel(of_crystals(), device="cpu"), CPU, torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_simulations_run(dtype: torch.dtype) -> None:
    model = PygNnpModel(of_molecules(), dtype=dtype, device="cpu")
    systems = some_of_both()[0][:3]
    is_converged = ts.generate_force_convergence_fn(0.1, include_cell_forces=False)
    with pytest.warns(UserWarning, match="reached max steps"):
        relaxed = ts.optimize(systems, model, optimizer=ts.optimizers.fire, convergence_fn=is_converged, max_steps=10)
    before = model(state_of(systems, dtype))["energy"]
    assert (relaxed.energy < before).all()
    moved = ts.integrate(systems, model, integrator=ts.nvt_langevin, n_steps=3, temperature=300, timestep=0.0005)
    assert moved.positions.dtype == dtype
    # of −10⁵ eV a number in single precision would leave hundredths
    assert moved.energy.dtype == torch.float64


def trained_on_water() -> Potential:
    potential = of_molecules()
    potential.domain = TrainingDomain(elements=frozenset((1, 8)), charges=(0.0,), compositions=("H2O",))
    return potential


def test_refusals_and_warnings() -> None:
    water, methane = some_of_both()[0][:2]
    model = PygNnpModel(trained_on_water(), device="cpu")
    with pytest.raises(DataError, match="was not trained on C, only on H, O"):
        model(state_of([methane]))  # warnings are errors
    at_one_place = water.copy()
    at_one_place.positions[1] = at_one_place.positions[2]
    with pytest.raises(DataError, match="atoms 1 and 2 are at the same place"):
        model(state_of([water, at_one_place]))
    with pytest.raises(DataError, match="the cell is periodic, but"):
        PygNnpModel(of_molecules(), device="cpu")(state_of([some_of_both()[1][0]]))
    without_cell = some_of_both()[1][0]
    without_cell.cell = [0, 0, 0]
    with pytest.raises(DataError, match="span no cell in the periodic directions"):
        PygNnpModel(of_crystals(), device="cpu")(state_of([without_cell]))
    peroxide = Atoms("H2O2", [[0, 0, 0], [0, 0, 3], [1, 0, 0], [1, 0, 2]])
    with pytest.warns(UserWarning, match="was trained on H2O, not on H2O2"):
        model(state_of([peroxide]))
    for charge in (float("nan"), "one"):
        with pytest.raises(DataError, match=f"charge: {charge} is no total charge"):
            PygNnpModel(trained_on_water(), charge=charge, device="cpu")
    # once
    model(state_of([water]))
    model(state_of([peroxide]))
    with pytest.warns(UserWarning, match="total charges 0, not on 1"):
        PygNnpModel(trained_on_water(), charge=1, device="cpu")(state_of([water]))


def test_without_a_layer_for_it_there_is_no_stress() -> None:
    results = PygNnpModel(of_molecules(), device="cpu")(state_of([some_of_both()[0][0]]))
    with pytest.raises(DataError, match=r"predicts no stress, only energy, .*\. Train one with the layer Stress"):
        results["stress"]


def test_slabs_that_become_molecules_are_warned_of_once() -> None:
    water, slab = some_of_both()[0][0], some_of_both()[1][0]
    slab.pbc = [True, True, False]
    model = PygNnpModel(of_crystals(), device="cpu")
    model(state_of([some_of_both()[1][0]]))  # warnings are errors
    with pytest.warns(UserWarning, match="a system has lattice vectors, but no direction is periodic"):
        model(state_of([slab]))
    model(state_of([slab * (2, 1, 1)]))
    # without stress, too
    layers = [layer for layer in of_crystals().layers if not isinstance(layer, Stress)]
    without, known = Potential(layers, of_crystals().spec).eval(), (str(slab.symbols), "H2O", "Si (periodic)")
    for compositions in ((), known):
        without.domain = TrainingDomain(compositions=compositions)
        with pytest.warns(UserWarning, match="a system has lattice vectors, but no direction is periodic"):
            PygNnpModel(without, device="cpu")(state_of([slab]))
    # a molecule in a box, of a potential of molecules
    water.cell = [9, 9, 9]
    PygNnpModel(of_molecules(), device="cpu")(state_of([water]))
    without.domain = TrainingDomain(compositions=known[:2])
    PygNnpModel(without, device="cpu")(state_of([water]))


def test_methods_of_modules() -> None:
    water = some_of_both()[0][0]
    model = PygNnpModel(of_molecules(), dtype="float32", device="cpu").double().train()
    results = model(state_of([water]))
    assert model.dtype == results["forces"].dtype == torch.float64
    assert not results["energy"].requires_grad
    np.testing.assert_array_equal(
        results["forces"], PygNnpModel(model.potential, device="cpu")(state_of([water]))["forces"]
    )


def test_elements_that_are_changed_in_place_are_noticed() -> None:
    model, state = PygNnpModel(trained_on_water(), device="cpu"), state_of([some_of_both()[0][0]])
    state.atomic_numbers = state.atomic_numbers.long()
    model(state)
    state.atomic_numbers[1] = 8
    with pytest.warns(UserWarning, match="was trained on H2O, not on HO2"):
        model(state)


def test_a_charge_that_is_not_said() -> None:
    potential = of_molecules()
    potential.domain = TrainingDomain(charges=(-1.0, 0.0))
    with pytest.warns(UserWarning, match=r"the total charge is taken to be 0; .* trained on -1, 0\. Give"):
        PygNnpModel(potential, device="cpu")
    PygNnpModel(potential, charge=0.0, device="cpu")
    potential.domain = TrainingDomain(charges=(-1.0, 0.0), blind_to_charge=("E",))  # which makes no difference
    PygNnpModel(potential, device="cpu")


def test_distances_never_seen_are_warned_of_once() -> None:
    potential, water = trained_on_water(), some_of_both()[0][0]
    length = potential.units.length
    potential.domain = TrainingDomain(shortest_distances={(1, 8): 0.9 / length})
    model, other = PygNnpModel(potential, device="cpu"), water.copy()
    model(state_of([water, other]))
    other.set_distance(0, 1, 0.8, fix=0)
    model(state_of([water, other]))
    other.set_distance(0, 1, 0.6, fix=0)
    with pytest.warns(UserWarning, match=r"closer than in the training data.*: H-O 0.600 Å \(0.900 Å there\)"):
        model(state_of([water, other]))
    other.set_distance(0, 1, 0.3, fix=0)
    model(state_of([water, other]))  # warnings are errors


def test_distances_are_looked_at_after_a_refusal() -> None:
    potential, water = trained_on_water(), some_of_both()[0][0]
    potential.domain = TrainingDomain(shortest_distances={(1, 8): 0.9 / potential.units.length})
    model = PygNnpModel(potential, device="cpu")
    model(state_of([water]))
    wrong = water.copy()
    wrong.positions[1] = wrong.positions[2]
    with pytest.raises(DataError, match="same place"):
        model(state_of([water, wrong]))
    wrong.set_distance(0, 1, 0.6, fix=0)
    wrong.positions[1] += 0.1
    with pytest.warns(UserWarning, match="closer than in the training data"):
        model(state_of([water, wrong]))


def test_the_size_of_a_cell_is_no_composition() -> None:
    potential, systems = of_crystals(), some_of_both()[1]
    potential.domain = TrainingDomain(
        compositions=tuple(f"{symbol} (periodic)" for symbol in ("Si", "Cu", "Al", "Fe", "C"))
    )
    model = PygNnpModel(potential, device="cpu")
    model(state_of([atoms * (2, 1, 1) for atoms in systems]))  # warnings are errors
    systems[0].numbers[0] = 6
    with pytest.warns(UserWarning, match=r"not on CSi \(periodic\): predictions"):
        model(state_of(systems))


def test_name_at_the_top() -> None:
    assert pyg_nnp.torchsim.PygNnpModel is PygNnpModel
