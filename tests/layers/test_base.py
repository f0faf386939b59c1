"""What holds for every layer and core: they are what they declare."""

import inspect
import re

import numpy as np
import pytest
import torch
from ase.build import molecule
from molecules import (
    LAYER_ENTRIES,
    core_arguments,
    core_of,
    make_data,
    make_potential,
    results,
    some_molecules,
    with_options,
)
from scipy.optimize import brentq
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.errors import FieldError
from pyg_nnp.layers import LAYERS, RadialBasis
from pyg_nnp.layers.base import Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.potential.build import build_layers

CLASSES = [*LAYERS.values(), *CORES.values()]
WITH_DIPOLES = [name for name, core in CORES.items() if "atomic_dipoles" in inspect.signature(core).parameters]
OPTIONS = {
    "dim_embedding": 8,
    "num_rbf": 6,
    "max_Za": 94,
    "cutoff_sr": 4.0,
    "Hartree_in_E": 1.0,
    "Bohr_in_R": 0.529,
    "terms": ["Ea", "Ea_electrostatic"],
    "atomic_dipoles": True,
    "functional": "pbe",
}


def make(layer_class: type[Layer]) -> Layer:
    taken = inspect.signature(layer_class).parameters
    return layer_class(**{name: value for name, value in OPTIONS.items() if name in taken})


def documented(layer_class: type[Layer], section: str) -> list[str]:
    text = inspect.getdoc(layer_class) or ""
    body = re.search(rf"^{section}:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    return re.findall(r"^    (\w+):", body.group(1), re.MULTILINE) if body else []


def example_fields(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return every field that any layer reads, for some molecules."""
    torch_random = torch.Generator().manual_seed(3)
    batch = Batch.from_data_list(some_molecules(dtype))
    fields = {name: batch[name] for name in ("Ra", "Za", "N", "Q", "batch", "edge_index")}
    fields["Ra"] = fields["Ra"].requires_grad_()
    for name in ("Distance", "RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding"):
        layer = make(LAYERS[name]).to(dtype)
        fields |= layer(**{field: fields[field] for field in layer.reads})
    count = len(fields["Za"])
    for name in ("Qa", "Ea", "Ea_electrostatic"):
        fields[name] = torch.randn(count, generator=torch_random, dtype=dtype) * fields["Ra"].square().sum(dim=1)
    fields["Ma"] = fields["Ra"] ** 2
    # some vectors count as leaves, as those of a potential do
    fields["Fij"] = fields["Vij"].detach() ** 2
    fields["W"] = torch.zeros(len(fields["N"]), 6, dtype=dtype)
    return fields | {"E": (fields["Ra"] ** 3).sum()[None].double()}


@pytest.mark.parametrize("layer_class", CLASSES)
def test_docstring_agrees_with_declaration(layer_class: type[Layer]) -> None:
    layer = make(layer_class)
    reads = documented(layer_class, "Reads")
    if layer_class is EnergyReduce:
        reads = [name for name in reads if name != "terms"] + OPTIONS["terms"]
    assert sorted(reads) == sorted((*layer.reads, *layer.reads_in_cells))
    assert sorted(documented(layer_class, "Writes")) == sorted(layer.writes)
    options = list(inspect.signature(layer_class).parameters)
    assert documented(layer_class, "Args") == options


@pytest.mark.parametrize("layer_class", CLASSES)
def test_forward_takes_what_is_declared(layer_class: type[Layer]) -> None:
    parameters = inspect.signature(layer_class.forward).parameters.values()
    named = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    layer = make(layer_class)
    reads = {*layer.reads, *layer.reads_in_cells}
    assert named <= reads if open_ended else named == reads


@pytest.mark.parametrize("layer_class", CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_writes_what_it_declares_and_changes_nothing(layer_class: type[Layer], dtype: torch.dtype) -> None:
    layer = make(layer_class).to(dtype)
    fields = example_fields(dtype)
    before = {name: value.detach().clone() for name, value in fields.items()}
    written = layer(**{name: fields[name] for name in layer.reads})
    assert set(written) == set(layer.writes)
    for name, value in fields.items():
        assert torch.equal(value, before[name]), name
    for name, value in written.items():
        assert value.isfinite().all()
        if value.is_floating_point():
            assert value.dtype == (torch.float64 if name == "E" else dtype), name


@pytest.mark.parametrize("layer_class", CLASSES)
def test_energy_terms_are_written(layer_class: type[Layer]) -> None:
    assert set(layer_class.energy_terms) <= set(layer_class.writes)


@pytest.mark.parametrize("layer_class", CLASSES)
def test_construction_with_a_generator_leaves_the_global_one_alone(layer_class: type[Layer]) -> None:
    if "generator" not in inspect.signature(layer_class).parameters:
        state = torch.get_rng_state()
        make(layer_class)
        assert torch.equal(state, torch.get_rng_state())
        return
    options = {k: v for k, v in OPTIONS.items() if k in inspect.signature(layer_class).parameters}
    state = torch.get_rng_state()
    first, second, other = (
        layer_class(**options, generator=torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_prepended_layers_come_first() -> None:
    layers, _ = build_layers(
        "SchNet",
        {
            k: v
            for k, v in OPTIONS.items()
            if k not in ("terms", "atomic_dipoles", "functional", "Hartree_in_E", "Bohr_in_R")
        },
        [(name, {}) for name in ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core")],
    )
    assert [type(layer).__name__ for layer in layers][:2] == ["Distance", "RangeSeparation"]


@pytest.mark.parametrize("architecture", CORES)
def test_tables_give_what_the_networks_give(batch: Batch, architecture: str) -> None:
    tables, exact = (make_potential(with_options("Core", filters=f), architecture) for f in ("table", "exact"))
    exact.load_state_dict(tables.state_dict())
    (found, of_found), (right, of_right) = results(tables, batch), results(exact, batch)
    assert core_of(tables).filter_table.num_rows > 0
    for name, value in right.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)
    for name, value in of_right.items():
        assert float((of_found[name] - value).norm()) <= 1e-6 * float(value.norm()), name


@pytest.mark.parametrize("architecture", WITH_DIPOLES)
def test_gradients_of_a_loss_on_dipoles_reach_every_parameter(batch: Batch, architecture: str) -> None:
    potential = make_potential(with_options("Core", num_interactions=1), architecture).train()
    potential(batch)["M2"].square().sum().backward()
    for name, parameter in core_of(potential).named_parameters():
        is_charge = name == "lin2.bias"  # the same for all atoms: ChargeConservation removes it
        assert is_charge or float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("name", ["CO2", "C2H2", "C6H6", "H2", "Na"])
@pytest.mark.parametrize("axes", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
@pytest.mark.parametrize("architecture", CORES)
def test_gradients_are_finite_for_linear_and_planar_molecules(name: str, axes: list[int], architecture: str) -> None:
    """Directions along each axis, and everything in a plane."""
    atoms = molecule(name)
    predicted, gradients = results(
        make_potential(architecture=architecture), make_data(atoms.numbers, atoms.positions[:, axes])
    )
    for value in (*predicted.values(), *gradients.values()):
        assert value.isfinite().all()
    # by symmetry there is no force out of the plane, or off the line
    flat = [axis for axis in range(3) if np.ptp(atoms.positions[:, axes][:, axis]) < 1e-12]
    assert float(predicted["Fa"][:, flat].abs().max()) < 1e-10


# a cosine begins with the square of what is left to the cutoff, relative to it, and a polynomial with its third power
@pytest.mark.parametrize(("architecture", "step"), [("SchNet", 1e-6), ("PaiNN", 1e-6), ("Cartesian", 1e-3)])
def test_nothing_jumps_where_atoms_enter_the_cutoff(architecture: str, step: float) -> None:
    """Two molecules of water whose nearest atoms are just within the cutoff, and just beyond it."""
    entries = [entry for entry in LAYER_ENTRIES if entry[0] != "ElectrostaticEnergy"]
    potential = make_potential(entries, architecture).eval()
    water = molecule("H2O").positions

    def nearest(shift: float) -> float:
        return float(np.linalg.norm(water[:, None] - water - [0, 0, shift], axis=2).min())

    def predicted(shift: float) -> dict[str, Tensor]:
        positions = np.concatenate([water, water + np.array([0, 0, shift])])
        return potential(make_data([8, 1, 1, 8, 1, 1], positions))

    gap = brentq(lambda shift: nearest(shift) - 4.0, 2.0, 9.0)
    within, beyond, further = predicted(gap - step), predicted(gap + step), predicted(gap + 1.0)
    assert float((predicted(gap - 0.5)["Fa"] - further["Fa"]).abs().max()) > 1e-4
    for name in ("E", "Ea", "Fa", "Qa"):
        torch.testing.assert_close(beyond[name], further[name], rtol=1e-12, atol=1e-12)
        # forces have one power less
        assert float((within[name] - beyond[name]).abs().max()) < 1e-6, name


@pytest.mark.parametrize("architecture", WITH_DIPOLES)
def test_dipole_is_that_of_charges_and_atoms(batch: Batch, architecture: str) -> None:
    potential = make_potential(architecture=architecture).eval()
    predicted = potential(batch)
    of_charges = torch.zeros_like(predicted["M2"]).index_add(0, batch.batch, predicted["Qa"][:, None] * batch.Ra)
    rest = predicted["M2"] - of_charges
    lone = (batch.N == 1).nonzero()[:, 0]
    assert len(lone) == 2
    assert float(rest[lone].abs().max()) == 0.0
    assert float(rest.norm(dim=1).sort().values[3]) > 1e-3


@pytest.mark.parametrize("architecture", WITH_DIPOLES)
def test_atomic_dipoles_are_where_dipoles_are(architecture: str) -> None:
    entries = [entry for entry in LAYER_ENTRIES if entry[0] != "AtomicCharge2Dipole"]
    assert "Ma" in core_of(make_potential(architecture=architecture)).writes
    assert "Ma" not in core_of(make_potential(entries, architecture)).writes
    off = make_potential(entries, architecture, atomic_dipoles=False)
    assert core_of(off).dipole is None
    with pytest.raises(FieldError, match=r"AtomicCharge2Dipole\) reads 'Ma', which nothing before it writes"):
        make_potential(with_options("AtomicCharge2Dipole", atomic_dipoles=True), "SchNet")


@pytest.mark.parametrize("filters", ["table", "exact"])
@pytest.mark.parametrize("architecture", CORES)
def test_second_derivatives_by_finite_differences(architecture: str, filters: str) -> None:
    """Of a whole core, by positions and features, in a molecule and a lone atom."""
    entries = with_options("Core", num_interactions=2, filters=filters)
    potential = make_potential(entries, architecture, dim_embedding=3, num_rbf=4).eval()
    core, basis = core_of(potential), next(layer for layer in potential.layers if isinstance(layer, RadialBasis))
    batch = Batch.from_data_list([make_data([8, 1, 1], molecule("H2O").positions), make_data([2], np.zeros((1, 3)))])
    given = core_arguments(potential, batch)
    first, second = given["edge_index_sr"][:, : len(given["Dij_sr"])]

    def written(Ra: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        V = Ra[first] - Ra[second]
        fields = given | {"x": x, "Vij_sr": V, "Dij_sr": V.norm(dim=1), "rbf": basis}
        return tuple(core(**{name: fields[name] for name in core.reads}).values())

    inputs = batch.Ra.clone().requires_grad_(), given["x"].detach().requires_grad_()
    assert torch.autograd.gradcheck(written, inputs)
    assert torch.autograd.gradgradcheck(written, inputs)
