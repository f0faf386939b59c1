"""What holds for every layer and core: they are what they declare."""

import inspect
import re

import pytest
import torch
from molecules import some_molecules
from torch_geometric.data import Batch

from pyg_nnp.layers import CORES, LAYERS
from pyg_nnp.layers.base import Layer
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.potential.build import build_layers

CLASSES = [*LAYERS.values(), *CORES.values()]
OPTIONS = {
    "dim_embedding": 8,
    "num_rbf": 6,
    "max_Za": 94,
    "cutoff_sr": 4.0,
    "Hartree_in_E": 1.0,
    "Bohr_in_R": 0.529,
    "terms": ["Ea", "Ea_electrostatic"],
    "atomic_dipoles": True,
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
    return fields | {"E": (fields["Ra"] ** 3).sum()[None].double()}


@pytest.mark.parametrize("layer_class", CLASSES)
def test_docstring_agrees_with_declaration(layer_class: type[Layer]) -> None:
    layer = make(layer_class)
    reads = documented(layer_class, "Reads")
    if layer_class is EnergyReduce:
        reads = [name for name in reads if name != "terms"] + OPTIONS["terms"]
    assert sorted(reads) == sorted(layer.reads)
    assert sorted(documented(layer_class, "Writes")) == sorted(layer.writes)
    options = list(inspect.signature(layer_class).parameters)
    assert documented(layer_class, "Args") == options


@pytest.mark.parametrize("layer_class", CLASSES)
def test_forward_takes_what_is_declared(layer_class: type[Layer]) -> None:
    parameters = inspect.signature(layer_class.forward).parameters.values()
    named = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    reads = set(make(layer_class).reads)
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
        {k: v for k, v in OPTIONS.items() if k not in ("terms", "atomic_dipoles", "Hartree_in_E", "Bohr_in_R")},
        [(name, {}) for name in ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core")],
    )
    assert [type(layer).__name__ for layer in layers][:2] == ["Distance", "RangeSeparation"]
