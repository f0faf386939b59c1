"""From points to periodic meshes and back by B-splines, differentiable any number of times in little memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

Orders = tuple[tuple[int, int, int], ...]
"""How often to differentiate by each of the three places, for each of some columns."""
_VALUES = ((0, 0, 0),)
_CHUNK = 2**21  # values of splines at once, some 50 MB with their places on the mesh


@dataclass(frozen=True)
class Points:
    """Where (A,) points are on the meshes of G systems, which lie one after the other in one tensor.

    Attributes:
        first: (A, 3) int64 the mesh point before each point, counted in its own mesh.
        sizes: (A, 3) int64 size of its mesh.
        start: (A,) int64 where its mesh begins.
        total: M, mesh points of all systems.
        order: p of the splines, each of which covers p mesh points in each direction.
    """

    first: Tensor
    sizes: Tensor
    start: Tensor
    total: int
    order: int

    @cached_property
    def chunks(self) -> Sequence[Tensor]:
        """Which (C,) points are treated at once: neighbors, since meshes can be larger than a cache."""
        x, y, z = (self.first % self.sizes // self.order).unbind(1)  # (A,) blocks as large as a spline
        _, Y, Z = self.sizes.unbind(1)  # (A,)
        blocks = self.start + (x * Y + y) * Z + z  # (A,)
        return torch.split(blocks.argsort(stable=True), max(1, _CHUNK // self.order**3))  # (C,) each

    def places(self, chunk: Tensor) -> Tensor:
        """Return (C, p * p, p) places in the tensor of all meshes that the splines of some points cover."""
        steps = torch.arange(self.order, device=self.first.device)
        x, y, z = ((self.first[chunk, :, None] - steps) % self.sizes[chunk, :, None]).unbind(1)  # (C, p)
        _, Y, Z = self.sizes[chunk].unbind(1)  # (C,)
        rows = self.start[chunk, None] + x * (Y * Z)[:, None]  # (C, p)
        lines = rows[:, :, None] + (y * Z[:, None])[:, None, :]  # (C, p, p)
        return lines.flatten(1)[:, :, None] + z[:, None, :]  # (C, p * p, p)


def spread(values: Tensor, t: Tensor, points: Points) -> Tensor:
    r"""Return the (M,) meshes :math:`\rho_g = \sum_i v_i \prod_k M_p(u_{ik} - g_k)` of values at points u.

    Source: Essmann et al., J. Chem. Phys. 1995, 103, 8577, eq. 4.6.

    Args:
        values: (A,) values v.
        t: (A, 3) what the places of the points, in mesh points, have beyond ``points.first``: from 0 to 1.
        points: where they are.
    """
    return _spread(values[:, None], t, points, _VALUES)  # (M,)


def gather(mesh: Tensor, t: Tensor, points: Points) -> Tensor:
    r"""Return (A,) :math:`v_i = \sum_g \phi_g \prod_k M_p(u_{ik} - g_k)` of (M,) meshes; else as :func:`spread`."""
    return _gather(mesh, t, points, _VALUES)[:, 0]  # (A,)


def b_splines(t: Tensor, order: int, derivative: int = 0) -> Tensor:
    r"""Return (..., p) the B-splines :math:`M_p(t + k)` for k = 0 ... p - 1, or one of their derivatives.

    Source: Essmann et al., J. Chem. Phys. 1995, 103, 8577, eqs. 4.1 and 4.2.

    Args:
        t: (...) from 0 to 1.
        order: p.
        derivative: how often they are differentiated by t, less than p - 1.
    """
    k = torch.arange(order, device=t.device, dtype=t.dtype)
    t = t[..., None]  # (..., 1)
    values = torch.where(k == 0, t, torch.where(k == 1, 1 - t, 0.0))  # (..., p), those of order 2
    for n in range(3, order - derivative + 1):
        values = ((t + k) * values + (n - t - k) * _shifted(values)) / (n - 1)
    for _ in range(derivative):
        values = values - _shifted(values)
    return values


def spline_factors(size: int, order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (K,) the Fourier coefficients, in absolute value, of a B-spline on a periodic mesh of K points."""
    knots = b_splines(torch.zeros((), dtype=torch.float64), order)  # (p,)
    phases = (2 * math.pi / size) * torch.outer(torch.arange(size), torch.arange(order)).double()  # (K, p)
    return torch.hypot(phases.cos() @ knots, phases.sin() @ knots).to(device, dtype)  # (K,)


def _shifted(values: Tensor) -> Tensor:
    return torch.nn.functional.pad(values[..., :-1], (1, 0))  # (..., p)


def _splines(t: Tensor, order: int, orders: Orders) -> list[list[Tensor]]:
    """Return by direction and derivative the (C, p) splines that some orders need."""
    return [
        [b_splines(t[:, k], order, n) for n in range(1 + max(of_column[k] for of_column in orders))] for k in range(3)
    ]


def _add_at(mesh: Tensor, places: Tensor, values: Tensor) -> None:
    """Add (n,) values to an (M,) mesh at (n,) places, in one order."""
    if _is_ordered(mesh):
        mesh.index_add_(0, places, values)
    else:
        # sorts the places first, which takes longer on a CPU
        mesh.index_put_((places,), values, accumulate=True)


def _is_ordered(mesh: Tensor) -> bool:
    """Return whether ``index_add_`` has one order, and no atomic additions."""
    return mesh.device.type != "cuda"


def _next(orders: Orders) -> Orders:
    """Return the orders of the derivatives of each column by each of the places."""
    return tuple((x + (k == 0), y + (k == 1), z + (k == 2)) for x, y, z in orders for k in range(3))


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, t: Tensor, points: Points, orders: Orders) -> Tensor:
        ctx.save_for_backward(values, t)
        ctx.how = points, orders
        mesh = values.new_zeros(points.total)  # (M,)
        for chunk in points.chunks:
            X, Y, Z = _splines(t[chunk], points.order, orders)
            planes = [torch.zeros_like(Z[0])[:, :, None].expand(-1, -1, points.order).clone() for _ in Z]  # (C, p, p)
            for column, (x, y, z) in enumerate(orders):
                planes[z] += (values[chunk, column, None] * X[x])[:, :, None] * Y[y][:, None, :]  # (C, p, p)
            lines = torch.stack(planes, dim=-1).flatten(1, 2) @ torch.stack(Z, dim=1)  # (C, p * p, p)
            _add_at(mesh, points.places(chunk).flatten(), lines.flatten())
        return mesh

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, t = ctx.saved_tensors
        points, orders = ctx.how
        needed = orders * ctx.needs_input_grad[0] + _next(orders) * ctx.needs_input_grad[1]
        of_all = _gather(grads[0], t, points, needed)  # (A, D), (A, 3 D) or (A, 4 D)
        of_values = of_all[:, : len(orders)] if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return of_values, None, None, None
        slopes = of_all[:, -3 * len(orders) :].view(len(t), len(orders), 3)  # (A, D, 3)
        return of_values, (values[:, :, None] * slopes).sum(1), None, None  # (A, 3)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mesh: Tensor, t: Tensor, points: Points, orders: Orders) -> Tensor:
        ctx.save_for_backward(mesh, t)
        ctx.how = points, orders
        found = t.new_empty(len(t), len(orders))  # (A, D)
        for chunk in points.chunks:
            X, Y, Z = _splines(t[chunk], points.order, orders)
            lines = mesh[points.places(chunk)] @ torch.stack(Z, dim=2)  # (C, p * p, n)
            planes = lines.view(-1, points.order, points.order, len(Z))  # (C, p, p, n)
            for column, (x, y, z) in enumerate(orders):
                rows = torch.bmm(planes[..., z], Y[y][:, :, None])[:, :, 0]  # (C, p)
                found[chunk, column] = (X[x] * rows).sum(1)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        mesh, t = ctx.saved_tensors
        points, orders = ctx.how
        of_mesh = _spread(grads[0], t, points, orders) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return of_mesh, None, None, None
        slopes = _gather(mesh, t, points, _next(orders)).view(len(t), len(orders), 3)  # (A, D, 3)
        return of_mesh, (grads[0][:, :, None] * slopes).sum(1), None, None  # (A, 3)


def _spread(values: Tensor, t: Tensor, points: Points, orders: Orders) -> Tensor:
    mesh: Tensor = _Spread.apply(values, t, points, orders)  # type: ignore[no-untyped-call]
    return mesh


def _gather(mesh: Tensor, t: Tensor, points: Points, orders: Orders) -> Tensor:
    found: Tensor = _Gather.apply(mesh, t, points, orders)  # type: ignore[no-untyped-call]
    return found
