"""From the configuration of a model to its layers: options, wiring, classes."""

import inspect
from pathlib import Path

import pytest
import torch
from molecules import BUILD_PARAMS, LAYER_ENTRIES, make_potential, with_options

import pyg_nnp
from pyg_nnp.errors import ConfigError, FieldError
from pyg_nnp.layers import LAYERS, ElectrostaticEnergy, Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.layers.registry import resolve_class
from pyg_nnp.potential.build import build_layers

REFERENCE = Path(__file__).resolve().parents[2] / "examples" / "reference.yaml"


def build(entries: list, architecture: str = "SchNet", **build_params: object) -> list[Layer]:
    return build_layers(architecture, {**BUILD_PARAMS, **build_params}, entries)[0]


def without(*names: str) -> list:
    return [entry for entry in LAYER_ENTRIES if entry[0] not in names]


def test_reference_configuration_has_every_option_of_its_layers() -> None:
    config = pyg_nnp.load_config(REFERENCE)
    model = config.Modelhub.internal_FFs["FF01"]
    assert {entry.name for entry in model.layers} == {*LAYERS, "Core"} - {
        "Distance",
        "BesselBasis",
        "Stress",
        "ZBL",
        "Dispersion",
    }
    taken = set()
    for entry in model.layers:
        layer_class = CORES[model.architecture] if entry.name == "Core" else LAYERS[entry.name]
        options = dict(inspect.signature(layer_class).parameters)
        options.pop("generator", None)
        taken |= options.keys()
        assert options.keys() == entry.params.keys() | (options.keys() & model.build_params.keys()), entry.name
        if entry.name != "Core":  # the specification's own values
            for name, value in entry.params.items():
                default = options[name].default
                assert value == (None if default is inspect.Parameter.empty else default), name
    assert model.build_params.keys() <= taken


def test_params_go_before_build_params() -> None:
    layers = build(with_options("ElectrostaticEnergy", cutoff_sr=3.0))
    (electrostatics,) = (layer for layer in layers if isinstance(layer, ElectrostaticEnergy))
    assert electrostatics.cutoff_sr == 3.0
    assert layers[1].cutoff_sr == BUILD_PARAMS["cutoff_sr"]


def test_distance_may_be_listed() -> None:
    listed = build([("Distance", {}), *LAYER_ENTRIES])
    assert [type(layer) for layer in listed] == [type(layer) for layer in build(LAYER_ENTRIES)]


def test_units_are_taken_even_if_no_layer_needs_them() -> None:
    build(without("ElectrostaticEnergy"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (without("RandomAtomEmbedding"), r"layers\[2\] \(SchNetCore\) reads 'x', which nothing before it writes"),
        (
            without("EnergyReduce"),
            r"layers\[8\] \(Force\) reads 'E'.*Fields at this point: N, Ra, Za, Q, cell, pbc, batch",
        ),
        ([LAYER_ENTRIES[1], LAYER_ENTRIES[0], *LAYER_ENTRIES[2:]], r"layers\[0\] \(GaussianSmearing\) reads 'Dij_sr'"),
        ([*LAYER_ENTRIES, ("Force", {})], r"layers\[10\] \(Force\) writes 'Fa' over what a layer before it wrote"),
    ],
)
def test_wiring_is_checked_at_construction(entries: list, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        build(entries)


class Overwriting(Layer):
    reads = ("Ra",)
    writes = ("Ra",)

    def forward(self, Ra: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"Ra": 2 * Ra}


def test_an_input_is_never_overwritten() -> None:
    with pytest.raises(FieldError, match="writes 'Ra', an input"):
        build([(f"{__name__}:Overwriting", {}), *LAYER_ENTRIES])


@pytest.mark.parametrize(
    ("entries", "build_params", "message"),
    [
        (
            with_options("ElectrostaticEnergy", dielectic_constant=2.0),
            {},
            r"layers\[7\]\.params: ElectrostaticEnergy has no option 'dielectic_constant'\. "
            r"Did you mean 'dielectric_constant'\? It takes: cutoff_sr, Hartree_in_E",
        ),
        (LAYER_ENTRIES, {"cutof_sr": 5.0}, "build_params: no layer of this model takes 'cutof_sr'.*'cutoff_sr'"),
        (LAYER_ENTRIES, {"num_rbf": "many"}, "build_params.num_rbf: GaussianSmearing expects a whole number, found"),
        (LAYER_ENTRIES, {"num_rbf": 1}, r"build_params.num_rbf: GaussianSmearing must be at least 2, found 1"),
        (LAYER_ENTRIES, {"cutoff_sr": -1.0}, "build_params.cutoff_sr: .* must be greater than 0"),
        (with_options("Core", num_interactions=True), {}, r"layers\[3\].params.num_interactions: .*truth value"),
        (without("Core"), {}, "exactly one entry must be 'name: Core'"),
        ([*LAYER_ENTRIES, LAYER_ENTRIES[3]], {}, "exactly one entry must be 'name: Core'"),
        ([("Forces", {})], {}, r"layers\[0\].name: there is no layer 'Forces'\. Did you mean 'Force'\?"),
        (with_options("ElectrostaticEnergy", cutoff_lr=1.0), {}, "cutoff_lr is 1.0, smaller than cutoff_sr"),
        (with_options("AtomicCharge2Dipole", origin="mass"), {}, "expects one of lab, center_of_mass"),
    ],
)
def test_mistakes_in_options(entries: list, build_params: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(entries, **build_params)


def test_missing_option_says_where_it_can_stand() -> None:
    with pytest.raises(ConfigError, match=r"layers\[2\]: RandomAtomEmbedding needs 'dim_embedding'.*build_params"):
        build_layers("SchNet", {"num_rbf": 8, "max_Za": 9, "cutoff_sr": 5.0}, LAYER_ENTRIES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SchNett", r"there is no core 'SchNett'\. Did you mean 'SchNet'"),
        ("not_a_module:Core", "cannot import 'not_a_module'"),
        ("collections:OrderedDict", "'OrderedDict' in module 'collections' is no subclass of pyg_nnp.layers.Core"),
        ("collections:Nothing", "module 'collections' has no class 'Nothing'"),
    ],
)
def test_classes_that_cannot_be_used(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(LAYER_ENTRIES, name)


def test_a_saved_potential_never_imports() -> None:
    with pytest.raises(ConfigError, match="Import the module 'antigravity' before you load this"):
        resolve_class("antigravity:Layer", LAYERS, Layer, may_import=False)


def test_terms_of_the_energy_are_told() -> None:
    everything, core_alone = (
        make_potential(entries).eval() for entries in (LAYER_ENTRIES, with_options("EnergyReduce", terms=["Ea"]))
    )
    terms = [p.spec["layers"][-2]["params"]["terms"] for p in (everything, core_alone)]
    assert terms == [["Ea", "Ea_electrostatic"], ["Ea"]]


def test_reference_energies_stay_in_double_precision() -> None:
    potential = make_potential()
    potential.set_references(torch.full((119,), -40000.123456789, dtype=torch.float64), 1e-9)
    for moved in (potential.float(), potential.double(), potential.to("cpu")):
        assert moved.atomic_energies.dtype == torch.float64
        assert float(moved.atomic_energies[1]) == -40000.123456789
        assert float(moved.energy_shift) == 1e-9
