"""Filters from tables against the filter networks themselves."""

import copy
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from molecules import core_of, deviation, make_potential, results, some_molecules, with_options
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_nnp.functional.cutoff import unclamped_cosine
from pyg_nnp.functional.spline import spline_nodes
from pyg_nnp.kernels import filters_of_pairs
from pyg_nnp.layers import GaussianSmearing, RangeSeparation
from pyg_nnp.layers.cores.schnet import FilterNetwork
from pyg_nnp.layers.filter_table import FilterTable
from pyg_nnp.potential.potential import Potential

SPECIFICATION = {"dim_embedding": 128, "num_rbf": 128, "cutoff_sr": 5.0}
CORE_OPTIONS = {"num_interactions": 4, "hidden_channels": 128}


def roughen(potential: Potential, size: float) -> None:
    """Change parameters as training does, where filters get rougher: the first layers of their networks."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for interaction in core_of(potential).interactions:
            weight = interaction.filter_network.lin1.weight
            weight += size * torch.randn(weight.shape, generator=random, dtype=weight.dtype)


@pytest.mark.parametrize("size", [0.0, 0.3, 1.0])
def test_tables_give_what_the_networks_give(size: float) -> None:
    """Energies, forces, charges, dipoles and every gradient, in double precision, for fresh and for rough filters."""
    tables, exact = (
        make_potential(with_options("Core", **CORE_OPTIONS, filters=filters), **SPECIFICATION)
        for filters in ("table", "exact")
    )
    roughen(tables, size)
    exact.load_state_dict(tables.state_dict())
    batch = Batch.from_data_list(some_molecules())
    (found, of_found), (right, of_right) = results(tables, batch), results(exact, batch)
    assert core_of(tables).filter_table.num_rows > 0
    assert core_of(exact).filter_table.num_rows is None
    for name, value in right.items():
        assert deviation(found[name], value) < 1e-6, name
    for name, value in of_right.items():
        assert deviation(of_found[name], value) < 1e-6, name


def test_rougher_filters_get_more_nodes_and_the_roughest_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    potential = make_potential()
    data, numbers = some_molecules()[0], []
    for factor in (1, 1e2, 1e8):
        for interaction in core_of(potential).interactions:
            with torch.no_grad():
                interaction.filter_network.lin1.weight *= factor
        potential.eval()(data)
        numbers.append(core_of(potential).filter_table.num_rows)
    assert 0 < numbers[0] < numbers[1]
    assert numbers[2] == 0
    assert "filters are computed exactly" in caplog.text
    assert potential(data)["Fa"].isfinite().all()


class Learned(GaussianSmearing):
    """Gaussians whose positions are learned."""

    def __init__(self, num_rbf: int, cutoff_sr: float) -> None:
        super().__init__(num_rbf, cutoff_sr)
        positions = self.centers.clone()
        del self.centers
        self.centers = nn.Parameter(positions)


def test_a_learned_basis_learns_before_and_after_an_evaluation() -> None:
    def change(layers: list) -> None:
        layers[2] = Learned(12, 4.0).double()

    tables, exact = (
        replaced(make_potential(with_options("Core", filters=filters)), change) for filters in ("table", "exact")
    )
    batch = Batch.from_data_list(some_molecules())
    for _ in range(2):
        (_, of_found), (_, of_right) = results(tables, batch), results(exact, batch)
        assert deviation(of_found["layers.2.centers"], of_right["layers.2.centers"]) < 1e-6
        with torch.no_grad():
            for potential in (tables, exact):
                potential.layers[2].centers += 0.01
                potential.eval()(batch)


class Pole(GaussianSmearing):
    """Functions that are infinite at one distance, which no pair has."""

    place = 0.0

    def expand(self, r: Tensor) -> Tensor:
        return super().expand(r) + 1e-3 / (r[:, None] - self.place)


@pytest.mark.parametrize("place", [0.0, -1e-3, 1e-9])
def test_a_pole_leads_to_exact_filters(place: float, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def change(layers: list) -> None:
        layers[2] = Pole(12, 4.0).double()
        layers[2].place = place

    tables, exact = (
        replaced(make_potential(with_options("Core", filters=filters)), change) for filters in ("table", "exact")
    )
    data = some_molecules()[0]
    assert same_results(tables(data), exact(data))
    assert core_of(tables).filter_table.num_rows == 0
    # also where nothing is trained; and once
    tables(data)
    assert caplog.text.count("filters are computed exactly") == 1


class Hole(GaussianSmearing):
    """Functions that are not finite at one distance, which may be a node."""

    place = math.inf

    def expand(self, r: Tensor) -> Tensor:
        return super().expand(r).where(r[:, None] != self.place, math.nan)


def test_no_table_with_a_hole_is_good_enough() -> None:
    """Wherever in the largest tables the one node lies at which the radial functions are not finite."""
    network = FilterNetwork(12, 4, torch.Generator().manual_seed(0)).double()
    network.lin1.weight.data *= 225

    def rows(place: float) -> int | None:
        table, basis = FilterTable([network], 4.0, unclamped_cosine).eval(), Hole(12, 4.0).double()
        basis.place = place
        table.bind(basis)
        table.update()
        return table.num_rows

    most = rows(math.inf)
    assert most > 3800
    nodes = spline_nodes(4.0, most, torch.device("cpu"), torch.float64)
    # the last 20 are there to fill up a block, and are not used
    for hole in nodes[:-20:16].tolist():
        assert rows(hole) == 0


def test_tables_follow_parameters_in_evaluation() -> None:
    """Whoever writes their own training loop need not know of tables."""
    potential, exact = make_potential(), make_potential(with_options("Core", filters="exact"))
    data = some_molecules()[0]
    optimizer = torch.optim.Adam(potential.parameters(), lr=0.1, fused=True)  # it does not count its changes
    for _ in range(3):
        potential.train()(data)["E"].sum().backward()
        optimizer.step()
        exact.load_state_dict(potential.state_dict())
        assert same_results(potential.eval()(data), exact.eval()(data))
    with torch.no_grad():
        core_of(potential).interactions[0].filter_network.lin2.weight *= 2
    exact.load_state_dict(potential.state_dict())
    assert same_results(potential(data), exact(data))


class Crowding(GaussianSmearing):
    """Gaussians that depend on other pairs too: on their number, up to 60, which is that of no small molecule."""

    def forward(self, Dij_sr: Tensor) -> dict[str, Tensor]:
        return {"rbf": self.expand(Dij_sr) * (60 / min(len(Dij_sr), 60))}


class Directed(GaussianSmearing):
    """Gaussians that depend on more than the distance."""

    reads = ("Dij_sr", "edge_index_sr")

    def forward(self, Dij_sr: Tensor, edge_index_sr: Tensor) -> dict[str, Tensor]:
        j, i = edge_index_sr[:, : len(Dij_sr)]
        return {"rbf": self.expand(Dij_sr) * (1 + 0.1 * (i - j).abs())[:, None]}


class Stretched(RangeSeparation):
    """Distances that are changed after the radial basis was computed."""

    reads = ("edge_index_sr", "Dij_sr")
    writes = ("edge_index_sr", "Dij_sr")

    def forward(self, edge_index_sr: Tensor, Dij_sr: Tensor) -> dict[str, Tensor]:
        return {"edge_index_sr": edge_index_sr, "Dij_sr": 0.9 * Dij_sr}


def replaced(potential: Potential, change: Callable[[list], None]) -> Potential:
    layers = list(copy.deepcopy(potential).layers)
    change(layers)
    return Potential(layers).eval()


def same_results(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(deviation(one[name], value) < 1e-5 for name, value in other.items())


@pytest.mark.parametrize(
    "kind", ["a basis of all pairs", "a basis of atoms", "distances that change", "another reader"]
)
def test_tables_are_for_functions_of_the_distance_alone(kind: str) -> None:
    def change(layers: list) -> None:
        if kind == "a basis of all pairs":
            layers[2] = Crowding(12, 4.0).double()
        elif kind == "a basis of atoms":
            layers[2] = Directed(12, 4.0).double()
        elif kind == "distances that change":
            layers.insert(3, Stretched(4.0))
        else:
            layers.insert(3, Reader())

    tables, exact = (
        replaced(make_potential(with_options("Core", filters=filters)), change) for filters in ("table", "exact")
    )
    data = some_molecules()[0]
    assert same_results(tables(data), exact(data))
    assert (core_of(tables).filter_table.num_rows > 0) == (kind == "another reader")


class Reader(RangeSeparation):
    """A layer that needs the radial basis at the pairs."""

    reads = ("rbf", "Dij_sr")
    writes = ("seen",)

    def __init__(self) -> None:
        super().__init__(4.0)

    def forward(self, rbf: Tensor, Dij_sr: Tensor) -> dict[str, Tensor]:
        assert rbf.shape == (len(Dij_sr), 12)
        return {"seen": rbf.sum(dim=1)}


def test_a_basis_is_computed_at_the_pairs_only_where_it_is_read() -> None:
    lengths = []

    class Noted(GaussianSmearing):
        def expand(self, r: Tensor) -> Tensor:
            lengths.append(len(r))
            return super().expand(r)

    def change(layers: list) -> None:
        layers[2] = Noted(12, 4.0).double()

    potential, data = replaced(make_potential(), change), some_molecules()[2]
    potential(data)
    assert 3 not in lengths
    core_of(potential).filter_table.exact = True
    lengths.clear()
    potential(data)
    assert lengths == [3]


def test_exact_filters_can_be_chosen_later() -> None:
    potential, data = make_potential().eval(), some_molecules()[0]
    tables = potential(data)["Ea"]
    core_of(potential).filter_table.exact = True
    exact = potential(data)["Ea"]
    assert not torch.equal(exact, tables)
    torch.testing.assert_close(exact, tables, rtol=1e-6, atol=1e-8)


def test_training_steps_give_the_same_bits() -> None:
    batch = Batch.from_data_list(some_molecules(torch.float32))
    states = []
    for _ in range(2):
        potential = make_potential(dtype=torch.float32)
        optimizer = torch.optim.Adam(potential.parameters(), lr=1e-3)
        for _ in range(5):
            results(potential, batch)
            optimizer.step()
        states.append(potential.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def stepped(potential: Potential, data: Data, steps: int, fused: bool = False) -> None:
    """Train with a loop of one's own that never evaluates, and let filters get rougher."""
    optimizer = torch.optim.Adam(potential.parameters(), lr=0.1, fused=fused)
    for _ in range(steps):
        optimizer.zero_grad()
        potential(data)["Fa"].square().sum().backward(inputs=list(potential.parameters()))
        optimizer.step()
        with torch.no_grad():
            core_of(potential).interactions[0].filter_network.lin1.weight.mul_(1.5)


@pytest.mark.parametrize("fused", [False, True])
def test_rows_follow_parameters_in_a_training_that_never_evaluates(
    monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    monkeypatch.setattr("pyg_nnp.layers.filter_table.CHECK_EVERY", 4)
    potential, data = make_potential(), some_molecules()[0]
    table = core_of(potential).filter_table
    rows = []
    for _ in range(9):
        stepped(potential, data, 1, fused)
        rows.append(table.num_rows)
    assert rows[:4] == [rows[0]] * 4
    assert rows[4:8] == [rows[4]] * 4
    assert rows[0] < rows[4] < rows[8]
    exact = make_potential(with_options("Core", filters="exact"))
    exact.load_state_dict(potential.state_dict())
    core_of(exact).filter_table.exact = True
    # the tables of the last step were chosen for its parameters
    with torch.no_grad():
        for of in (potential, exact):
            core_of(of).interactions[0].filter_network.lin1.weight.div_(1.5)
    found, right = ({name: value.detach() for name, value in of(data).items()} for of in (potential, exact))
    assert same_results(found, right)


def test_a_step_that_is_tried_again_is_not_counted() -> None:
    potential, data = make_potential(), some_molecules()[0]
    table = core_of(potential).filter_table
    counts = []
    for _ in range(3):
        for _ in range(2):
            potential(data)
            counts.append(int(table.get_extra_state()[1]))
        stepped(potential, data, 1)
    assert counts == [0, 0, 1, 1, 2, 2]


def test_a_training_that_goes_on_chooses_rows_at_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_nnp.layers.filter_table.CHECK_EVERY", 4)
    data = some_molecules()[0]
    for stop in range(7):
        whole, stopped = make_potential(), make_potential()
        stepped(stopped, data, stop)
        stopped(data)  # interrupted before its optimiser step
        again = make_potential(seed=1)
        again.load_state_dict(stopped.state_dict())
        stepped(whole, data, stop)
        for _ in range(7 - stop):
            states = []
            for potential in (whole, again):
                stepped(potential, data, 1)
                states.append(core_of(potential).filter_table.get_extra_state().tolist())
            assert states[0] == states[1]


def test_an_evaluation_and_the_training_after_it_choose_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    monkeypatch.setattr(FilterTable, "_rows_needed", lambda table: chosen.append(table.training) or 64)
    potential, data = make_potential(), some_molecules()[0]
    for _ in range(2):
        potential.train()(data)
        potential.train()(data)
        potential.eval()(data)
        potential.eval()(data)
    # at the beginning, and at each evaluation; parameters did not change between
    assert chosen == [True, False, False]


def softer(r: Tensor, cutoff: float) -> Tensor:
    return (1 - (r / cutoff) ** 2) ** 4


@pytest.mark.parametrize(
    ("activation", "cutoff_function"),
    [(nn.Tanh(), unclamped_cosine), (nn.SiLU(), softer), (nn.Softplus(), softer)],
    ids=["tanh, cosine", "silu, polynomial", "softplus, polynomial"],
)
def test_tables_of_any_network(activation: nn.Module, cutoff_function: Callable[[Tensor, float], Tensor]) -> None:
    """Values and slopes of three times as many filters as functions; the networks need not be of one width."""
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(10, 8), activation, nn.Linear(8, F)).double() for F in (30, 7)]
    basis, table = GaussianSmearing(10, 4.0).double(), FilterTable(networks, 4.0, cutoff_function)
    table.bind(basis)
    r = torch.linspace(0.1, 3.999, 301, dtype=torch.float64, requires_grad=True)
    for network, filters in zip(networks, table(r, basis), strict=True):
        values = filters_of_pairs(*filters)
        right = network(basis.expand(r)) * cutoff_function(r, 4.0)[:, None]
        assert table.num_rows > 0
        assert deviation(values.detach(), right.detach()) < 1e-7
        (slopes,), (right_slopes,) = (torch.autograd.grad(v.sin().sum(), r, retain_graph=True) for v in (values, right))
        assert deviation(slopes, right_slopes) < 2e-6


def test_a_table_that_knows_no_basis_computes_exactly() -> None:
    network = nn.Linear(10, 5).double()
    basis, table = GaussianSmearing(10, 4.0).double(), FilterTable([network], 4.0, unclamped_cosine)
    r = torch.tensor([1.0, 3.0], dtype=torch.float64)
    right = network(basis.expand(r)) * unclamped_cosine(r, 4.0)[:, None]
    for given in (basis, basis.expand(r)):
        (filters,) = table(r, given)
        torch.testing.assert_close(filters_of_pairs(*filters), right)
    assert table.num_rows == 0


def slowly(monkeypatch: pytest.MonkeyPatch, begun: threading.Event) -> list[int]:
    """Let the choice of rows take its time, and return the numbers of rows that will be chosen."""
    choose, chosen = FilterTable._rows_needed, []

    def choose_slowly(table: FilterTable) -> int:
        begun.set()
        time.sleep(0.3)
        chosen.append(choose(table))
        return chosen[-1]

    monkeypatch.setattr(FilterTable, "_rows_needed", choose_slowly)
    return chosen


def test_threads_wait_for_the_rows_that_one_of_them_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = slowly(monkeypatch, threading.Event())
    table = core_of(make_potential().eval()).filter_table

    def rows(_: int) -> int | None:
        table.update()
        return table.num_rows

    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(rows, range(4))]
    assert found == 4 * chosen
    assert found[0]


def test_a_process_forked_while_a_thread_chooses_rows_can_choose_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    slowly(monkeypatch, begun)
    table = core_of(make_potential().eval()).filter_table
    thread = threading.Thread(target=table.update)
    thread.start()
    begun.wait()
    process = os.fork()
    if process == 0:
        table.update()
        os._exit(0 if table.num_rows else 1)
    thread.join()
    give_up = time.monotonic() + 60
    while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0) and time.monotonic() < give_up:
        time.sleep(0.05)
    if ended == (0, 0):
        os.kill(process, 9)
        os.waitpid(process, 0)
    assert ended == (process, 0)


@pytest.mark.parametrize("architecture", ["SchNet", "Cartesian"])
def test_forces_of_tables_are_rounded_as_exact_ones(architecture: str) -> None:
    """Slopes are differences of rows. Where networks round these in single precision, errors are 5 times as large."""
    entries = with_options("Core", num_interactions=3, hidden_channels=128)
    potential = make_potential(entries, architecture, dtype=torch.float32, **SPECIFICATION).eval()
    right, batch = copy.deepcopy(potential).double().eval(), Batch.from_data_list(some_molecules())
    for one in (potential, right):
        core_of(one).filter_table.exact = True
    Fa = right(batch)["Fa"]
    of_exact = deviation(potential(batch)["Fa"].double(), Fa)
    core_of(potential).filter_table.exact = False
    of_table = deviation(potential(batch)["Fa"].double(), Fa)
    assert of_table < 2 * of_exact
