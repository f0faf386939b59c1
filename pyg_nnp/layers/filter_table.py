"""Filters from tables: networks of the distance evaluated at some hundred nodes, and a spline between them."""

import copy
import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from pyg_nnp.functional.spline import BLOCK, DEGREE, derivative, spline_coefficients, spline_nodes, spline_weights
from pyg_nnp.kernels import Filters, filters_of_pairs
from pyg_nnp.layers.base import RadialBasis

log = logging.getLogger(__name__)

# of the slopes of tabulated filters, relative and in the mean over distances; forces are sums of slopes
TOLERANCE = 2e-7
CHECK_EVERY = 200  # training steps
_FEWEST_ROWS, _FEWEST_OF_HALF, _MOST_ROWS = 64, 96, 4096
# of a radius and where it ends: smooth, also as far again beyond as half of it
Cutoff = Callable[[Tensor, float], Tensor]
# one for all tables: with a lock of its own a table could not be copied
_CHOOSING = threading.RLock()
# forked while another thread has it, a process would wait for it for ever
os.register_at_fork(before=_CHOOSING.acquire, after_in_parent=_CHOOSING.release, after_in_child=_CHOOSING.release)


class FilterTable(nn.Module):
    r"""The filters :math:`W(r) = f_c(r) D(e(r))` of pairs, a network D of a radial basis e times a cutoff function.

    Each is a function of one number. So the networks are evaluated at some hundred distances only, and between them a
    quintic spline takes their place, in training too. There are as many rows as let the slopes of the filters be right
    to 2e-7, whatever the weights, and a node for each, or for every second one where that is as good. This is chosen,
    by comparison with the networks, when parameters have changed: at each prediction in evaluation, and in training at
    its first step, when it goes on after an evaluation, and after every 200 steps. What is written to their ``.data``,
    which PyTorch does not count as a change, is noticed when ``eval`` follows on ``train``. It is saved, so that a
    training which is stopped and goes on ends with the same bits.

    The core that owns a table reads ``rbf`` and passes it on, whatever it is: where a :class:`RadialBasis` writes it, a
    potential gives the core that layer in place of the tensor. Where something else does, filters are computed exactly.

    Args:
        networks: from (P, K) radial functions to (P, F) filters each; their parameters belong to the core.
        cutoff: where the filters end [length].
        cutoff_function: called with distances and the cutoff, smooth beyond the cutoff too.

    Attributes:
        exact: the networks are evaluated at the distance of each pair, slower.
        num_rows: rows of the tables; 0: none is good enough; None: not known yet.
    """

    def __init__(self, networks: Sequence[nn.Module], cutoff: float, cutoff_function: Cutoff) -> None:
        super().__init__()
        self._networks, self._basis = list(networks), list[RadialBasis]()  # lists, for they are modules of the core
        self.cutoff, self.cutoff_function = cutoff, cutoff_function
        self.exact = False
        self.num_rows: int | None = None
        self._step = 1  # from a row whose node the networks are evaluated at to the next one
        self._steps, self._norm = 0, -1.0  # since rows were chosen, and of the parameters at the last of them
        self._is_due, self._is_fixed = True, False
        self._checked: tuple[tuple[int, int], ...] | None = None
        self._tables: list[Tensor] = []  # in evaluation they are made once
        self._choices = 0

    def bind(self, basis: RadialBasis | None) -> None:
        """Take the layer that writes ``rbf``, if it is a function of the distance: a potential does this when built."""
        bases = [] if basis is None else [basis]
        if bases != self._basis:  # modules are equal to themselves alone
            self._basis, self._checked, self._is_due = bases, None, True

    @property
    def num_networks(self) -> int:
        """Return the number of networks, one for each interaction of the core."""
        return len(self._networks)

    @property
    def version(self) -> tuple[object, ...]:
        """Changes when a recorded computation with the tables is of no use any more, whatever the parameters."""
        # in training they are computed anew at each step
        return self.exact, self.num_rows, self._step, None if self.training else self._choices

    def forward(self, r: Tensor, rbf: Tensor | RadialBasis) -> Iterator[Filters]:
        """Yield the filters of each network at (P,) distances within the cutoff.

        ``rbf``: (P, K) radial functions, or the layer that computes them.
        """
        self.update()
        if self.exact or not self.num_rows or isinstance(rbf, Tensor):
            factor = torch.where(r < self.cutoff, self.cutoff_function(r, self.cutoff), 0)
            weights, rows = factor[:, None], torch.arange(r.shape[0], device=r.device)  # (P, 1), (P,)
            basis = rbf if isinstance(rbf, Tensor) else rbf.expand(r)  # (P, K)
            for network in self._networks:
                yield Filters(weights, rows, network(basis))
            return
        weights, rows = spline_weights(r, self.cutoff, self.num_rows - DEGREE)
        tables: Iterable[Tensor] = self._tables
        if self.training:
            tables = self._made(self._networks, rbf, self.num_rows, self._step, r)
        elif not self._tables:
            with torch.no_grad():
                # slopes are differences of rows, which magnify what networks round in single precision
                made = self._made(*self._in_double(), self.num_rows, self._step, r.double())
                self._tables = tables = [table.to(r.dtype) for table in made]
        yield from (Filters(weights, rows, table) for table in tables)

    def _in_double(self) -> tuple[list[nn.Module], RadialBasis]:
        """Return copies of networks and radial basis in double precision."""
        return [copy.deepcopy(network).double() for network in self._networks], copy.deepcopy(self._basis[0]).double()

    def _made(
        self, networks: list[nn.Module], basis: RadialBasis, num_rows: int, step: int, like: Tensor
    ) -> Iterator[Tensor]:
        nodes = spline_nodes(self.cutoff, num_rows, like.device, like.dtype, step)  # (M,)
        values = basis.expand(nodes)  # (M, K), for all networks
        for network in networks:
            yield spline_coefficients(self._at(network, values, nodes), step)

    def _at(self, network: nn.Module, values: Tensor, r: Tensor) -> Tensor:
        filters: Tensor = network(values) * self.cutoff_function(r, self.cutoff)[:, None]  # (P, F)
        return filters

    def train(self, mode: bool = True) -> "FilterTable":
        """Change between training and evaluation; the next prediction then looks for parameters that have changed."""
        self._is_due = self._is_due or mode != self.training
        if self.training and not mode:
            # not all optimisers let tensors know that they change them
            self._checked = None
        super().train(mode)
        return self

    def update(self) -> None:
        """Choose the number of rows anew, if it is time to, once for all threads; a prediction does it by itself."""
        if self._is_fixed or self.exact or (self.training and not self._is_time()):
            return
        tensors = (value for module in (*self._networks, *self._basis) for value in tensors_of(module))
        present = tuple((value.data_ptr(), value._version) for value in tensors)
        with _CHOOSING:
            self._is_due, self._steps = False, 0
            if present != self._checked:
                before, self._tables, self._checked = self.num_rows, [], present
                self.num_rows, self._step = self._rows_needed() if self._basis else (0, 1)
                self._choices += 1
                self._say(before)

    def _is_time(self) -> bool:
        """Count training steps; the same parameters twice are one step, of which the first try was interrupted."""
        parameters = [p.detach() for network in self._networks for p in network.parameters() if p.requires_grad]
        norm = float(get_total_norm(parameters)) if parameters else 0.0
        self._steps += norm != self._norm
        self._norm = norm
        if self._steps >= CHECK_EVERY:
            self._is_due, self._checked = True, None
        return self._is_due

    def _say(self, before: int | None) -> None:
        too_many = f"no table with up to {_MOST_ROWS} rows is right to {TOLERANCE}"
        reason = too_many if self._basis else "the radial basis is no function of Dij_sr alone"
        if self.num_rows and self.num_rows != before:
            log.debug("Tables of filters have %d rows.", self.num_rows)
        elif self.num_rows != before:
            log.info("The filters are computed exactly, which takes longer: %s.", reason)

    def get_extra_state(self) -> Tensor:
        """Return (4,): rows, training steps since they were chosen, norm of the parameters then, rows between nodes."""
        rows = -1 if self.num_rows is None else self.num_rows
        return torch.tensor([rows, self._steps, self._norm, self._step], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take from what was saved; older versions saved the first of these numbers, or three of them."""
        rows, *counted = state.reshape(-1).tolist()  # (1,), (3,) or (4,)
        self.num_rows, self._step = None if rows < 0 else int(rows), int(counted[2]) if counted[2:] else 1
        if self.num_rows is not None and counted:
            self._steps, self._norm, self._is_due = int(counted[0]), counted[1], False

    def _rows_needed(self) -> tuple[int, int]:
        """Return how many rows make slopes right to ``TOLERANCE``, 0: too many, and how many there are for a node."""
        networks, basis = self._in_double()
        device = next((p.device for network in networks for p in network.parameters()), torch.device("cpu"))
        random = torch.Generator().manual_seed(0)
        # one distance in each of 256 equal parts, so that every block of a table is met, and no NaN in it overlooked
        parts = torch.arange(256) + torch.rand(256, generator=random, dtype=torch.float64)
        r = (parts * (self.cutoff / 256)).to(device)
        slopes = [derivative(partial(self._of_distance, network, basis), r) for network in networks]

        @cache
        def error_of(rows: int, step: int = 1) -> float:
            weights, first = spline_weights(r, self.cutoff, rows - DEGREE, order=1)
            largest = 0.0
            for table, slope in zip(self._made(networks, basis, rows, step, r), slopes, strict=True):
                error = float((filters_of_pairs(weights, first, table) - slope).norm() / slope.norm())
                if not math.isfinite(error):  # the radial functions may have a pole
                    return math.inf
                largest = max(largest, error)
            return largest

        with torch.no_grad():
            rows = _fewest_rows(error_of)
            # where it makes no difference, half of the nodes, which reach further beyond the cutoff
            is_smooth = rows >= _FEWEST_OF_HALF and error_of(rows, 2) <= min(TOLERANCE, 1.2 * error_of(rows))
            return rows, 2 if is_smooth else 1

    def _of_distance(self, network: nn.Module, basis: RadialBasis, r: Tensor) -> Tensor:
        return self._at(network, basis.expand(r), r)  # (P, F)


@contextmanager
def unchanged(tables: Iterable[FilterTable]) -> Iterator[None]:
    """Leave tables as they are, whatever happens to parameters: nothing waits for a device to compare them."""
    changed = [table for table in tables if not table._is_fixed]
    for table in changed:
        table._is_fixed = True
    try:
        yield
    finally:
        for table in changed:
            table._is_fixed = False


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers; ten times as fast as what gives them names, and needed in each evaluation."""
    for of_module in (module._parameters, module._buffers):
        yield from (value for value in of_module.values() if value is not None)
    for child in module._modules.values():
        if child is not None:
            yield from tensors_of(child)


def _fewest_rows(error_of: Callable[[int], float]) -> int:
    """Return the number of rows whose error is small enough, from one trial, or a few; 0 if these are too many."""

    def guess(rows: int, error: float) -> int:
        # the error goes with the fifth power of the distance of the nodes
        needed = rows * (error / TOLERANCE) ** (1 / DEGREE)
        return BLOCK * math.ceil(needed / BLOCK) if math.isfinite(error) else _MOST_ROWS + 1

    rows = max(guess(512, error_of(512)), _FEWEST_ROWS)
    while rows <= _MOST_ROWS and (error := error_of(rows)) > TOLERANCE:
        rows = max(guess(rows, error), rows + BLOCK)
    return rows if rows <= _MOST_ROWS else 0
