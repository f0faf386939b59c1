"""The operators on a GPU, compiled by Triton.

Each program writes what it alone owns, an atom, some pairs, or a row of the table, so results do not depend on timing.
Nothing waits for the device, so that all of this can be captured in a CUDA graph.
"""

# kernels have types when they are compiled
# mypy: allow-untyped-defs, allow-incomplete-defs

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_nnp.kernels.reference import Wanted

# whether a number of pairs is 1 or a multiple of 16 is no reason to compile again
_jit: Callable[[Callable[..., Any]], Any] = partial(triton.jit, do_not_specialize=["num_pairs"])


@_jit
def _of_features(
    b, c, rows, T, V, x, g, U, source, start, order, of_x, of_g, num_pairs,
    C: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    f = tl.arange(0, WIDTH)[None, :]
    zero = tl.zeros((COUNT, WIDTH), g.dtype.element_ty)
    sum_x, sum_g = zero, zero
    end = tl.load(start + i + 1)
    for first in range(tl.load(start + i), end, COUNT):
        k = first + tl.arange(0, COUNT)
        valid = k < end
        filled = valid[:, None] & (f < F)
        edge = tl.load(order + k, mask=valid, other=0)
        p = tl.where(edge < num_pairs, edge, edge - num_pairs)
        j = tl.load(source + edge, mask=valid, other=0)[:, None] * F + f
        row = tl.load(rows + p, mask=valid, other=0)
        W_b, W_c = zero, zero
        for n in tl.static_range(C):
            at = (row + n)[:, None] * F + f
            t = tl.load(T + at, mask=filled, other=0)
            b_n = tl.load(b + p * C + n, mask=valid, other=0)[:, None]
            W_b += b_n * t
            if c is not None:
                W_c += tl.load(c + p * C + n, mask=valid, other=0)[:, None] * t
            if V is not None:
                W_c += b_n * tl.load(V + at, mask=filled, other=0)
        if c is not None or V is not None:
            if of_x is not None:
                sum_x += W_c * tl.load(g + j, mask=filled, other=0)
            if of_g is not None:
                sum_g += W_c * tl.load(x + j, mask=filled, other=0)
        if U is not None and of_g is not None:
            sum_g += W_b * tl.load(U + j, mask=filled, other=0)
    if of_x is not None:
        tl.store(of_x + i * F + f, tl.sum(sum_x, axis=0)[None, :], mask=f < F)
    if of_g is not None:
        tl.store(of_g + i * F + f, tl.sum(sum_g, axis=0)[None, :], mask=f < F)


@_jit
def _products(x, y, source, target, p, valid, f, F: tl.constexpr):
    """Return x_i y_j + x_j y_i of the pairs p, 0 where there is none."""
    i = tl.load(target + p, mask=valid, other=0)[:, None] * F + f
    j = tl.load(source + p, mask=valid, other=0)[:, None] * F + f
    filled = valid[:, None] & (f < F)
    x_i, x_j = tl.load(x + i, mask=filled, other=0), tl.load(x + j, mask=filled, other=0)
    y_i, y_j = tl.load(y + i, mask=filled, other=0), tl.load(y + j, mask=filled, other=0)
    return x_i * y_j + x_j * y_i


@_jit
def _of_weights(
    rows, T, V, x, g, U, source, target, of_b, num_pairs,
    C: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0).to(tl.int64) * COUNT + tl.arange(0, COUNT)
    f = tl.arange(0, WIDTH)[None, :]
    valid = p < num_pairs
    filled = valid[:, None] & (f < F)
    row = tl.load(rows + p, mask=valid, other=0)
    if U is not None:
        v_U = _products(g, U, source, target, p, valid, f, F)
    if V is not None:
        v_x = _products(x, g, source, target, p, valid, f, F)
    for n in tl.static_range(C):
        at = (row + n)[:, None] * F + f
        total = tl.zeros((COUNT, WIDTH), g.dtype.element_ty)
        if U is not None:
            total += tl.load(T + at, mask=filled, other=0) * v_U
        if V is not None:
            total += tl.load(V + at, mask=filled, other=0) * v_x
        tl.store(of_b + p * C + n, tl.sum(total, axis=1), mask=valid)


@_jit
def _of_table(
    b, c, rows, x, g, U, source, target, start, order, of_T,
    C: tl.constexpr, PARTS: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    r, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    f = tl.arange(0, WIDTH)[None, :]
    total = tl.zeros((COUNT, WIDTH), g.dtype.element_ty)
    end = tl.load(start + r + 1)
    for first in range(tl.load(start + tl.maximum(r - C + 1, 0)) + part * COUNT, end, PARTS * COUNT):
        k = first + tl.arange(0, COUNT)
        valid = k < end
        p = tl.load(order + k, mask=valid, other=0)
        at = p * C + r - tl.load(rows + p, mask=valid, other=0)
        if U is not None:
            w = tl.load(b + at, mask=valid, other=0)
            total += w[:, None] * _products(g, U, source, target, p, valid, f, F)
        if c is not None:
            w = tl.load(c + at, mask=valid, other=0)
            total += w[:, None] * _products(x, g, source, target, p, valid, f, F)
    tl.store(of_T + (tl.num_programs(0) * part + r) * F + f, tl.sum(total, axis=0)[None, :], mask=f < F)


@_jit
def _chi(r, FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr):
    """Return chi(r) and its first two derivatives; see :mod:`pyg_nnp.functional.coulomb` for the formulas."""
    # named without tl.constexpr, a constant would be a number in single precision
    if FLAVOR == "SpookyNet":
        width: tl.constexpr = 0.5 * CUTOFF_SR
        place = r / width - 0.5
        between = (place > 0) & (place < 1)
        x = tl.where(between, place, 0.5)
        a, b = 1 / x, 1 / (1 - x)
        # beyond this e^u is 0 or infinite in single precision, and the switch flat to any precision
        u = tl.minimum(tl.maximum(a - b, -80.0), 80.0)
        s = 1 / (1 + tl.exp(-u))
        slope = tl.where(between & (tl.abs(u) < 80), s * (1 - s), 0.0)
        u1, u2 = -(a * a + b * b), 2 * (a * a * a - b * b * b)
        f = tl.where(between, s, tl.where(place < 0.5, 1.0, 0.0))
        f1, f2 = slope * u1 / width, slope * ((1 - 2 * f) * u1 * u1 + u2) / (width * width)
    else:
        scale: tl.constexpr = 2 / CUTOFF_SR
        x = tl.minimum(r * scale, 1.0)
        y = 1 - x
        f = 1 + x * x * x * (x * (15 - 6 * x) - 10)
        f1 = -30 * x * x * y * y * scale
        f2 = -60 * x * y * (y - x) * scale * scale
    a, b = 1 / r, 1 / tl.sqrt(r * r + SHIELDING * SHIELDING)
    aa, bb = a * a, b * b
    chi = f * b + (1 - f) * a
    chi1 = f1 * (b - a) - f * r * b * bb - (1 - f) * aa
    chi2 = f2 * (b - a) + 2 * f1 * (aa - r * b * bb) + f * b * bb * (3 * r * r * bb - 1) + 2 * (1 - f) * a * aa
    if CUTOFF_LR > 0:
        inside = r < CUTOFF_LR
        c: tl.constexpr = 1 / CUTOFF_LR
        chi = tl.where(inside, chi + r * c * c - 2 * c, 0.0)
        chi1 = tl.where(inside, chi1 + c * c, 0.0)
        chi2 = tl.where(inside, chi2, 0.0)
    return chi, chi1, chi2


@_jit
def _difference(R, i, j, valid):
    """Return R_i - R_j, of one atom i and many j."""
    x = tl.load(R + 3 * i) - tl.load(R + 3 * j, mask=valid, other=0)
    y = tl.load(R + 3 * i + 1) - tl.load(R + 3 * j + 1, mask=valid, other=0)
    z = tl.load(R + 3 * i + 2) - tl.load(R + 3 * j + 2, mask=valid, other=0)
    return x, y, z


@_jit
def _distance(dx, dy, dz, valid):
    # what is not valid is left out of the sums, but should not be divided by zero before
    return tl.sqrt(tl.where(valid, dx * dx + dy * dy + dz * dz, 1.0))


@_jit
def _coulomb_potential(
    q, R, start, molecule, out, COUNT: tl.constexpr,
    FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    m = tl.load(molecule + i)
    total = tl.zeros((COUNT,), q.dtype.element_ty)
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m), end, COUNT):
        j = first + tl.arange(0, COUNT)
        valid = (j < end) & (j != i)
        dx, dy, dz = _difference(R, i, j, valid)
        chi, _, _ = _chi(_distance(dx, dy, dz, valid), FLAVOR, CUTOFF_SR, SHIELDING, CUTOFF_LR)
        total += tl.load(q + j, mask=valid, other=0) * chi
    tl.store(out + i, tl.sum(total))


@_jit
def _coulomb_gradient(
    g, q, R, start, molecule, out, COUNT: tl.constexpr,
    FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    m = tl.load(molecule + i)
    g_i, q_i = tl.load(g + i), tl.load(q + i)
    zero = tl.zeros((COUNT,), q.dtype.element_ty)
    fx, fy, fz = zero, zero, zero
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m), end, COUNT):
        j = first + tl.arange(0, COUNT)
        valid = (j < end) & (j != i)
        dx, dy, dz = _difference(R, i, j, valid)
        r = _distance(dx, dy, dz, valid)
        _, chi1, _ = _chi(r, FLAVOR, CUTOFF_SR, SHIELDING, CUTOFF_LR)
        g_j, q_j = tl.load(g + j, mask=valid, other=0), tl.load(q + j, mask=valid, other=0)
        s = (g_i * q_j + g_j * q_i) * chi1 / r
        fx, fy, fz = fx + s * dx, fy + s * dy, fz + s * dz
    tl.store(out + 3 * i, tl.sum(fx))
    tl.store(out + 3 * i + 1, tl.sum(fy))
    tl.store(out + 3 * i + 2, tl.sum(fz))


@_jit
def _coulomb_gradient_backward(
    u, g, q, R, start, molecule, of_g, of_q, of_R,
    CURVATURE: tl.constexpr, COUNT: tl.constexpr,
    FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    m = tl.load(molecule + i)
    g_i, q_i = tl.load(g + i), tl.load(q + i)
    zero = tl.zeros((COUNT,), q.dtype.element_ty)
    sum_g, sum_q, hx, hy, hz = zero, zero, zero, zero, zero
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m), end, COUNT):
        j = first + tl.arange(0, COUNT)
        valid = (j < end) & (j != i)
        dx, dy, dz = _difference(R, i, j, valid)
        vx, vy, vz = _difference(u, i, j, valid)
        r = _distance(dx, dy, dz, valid)
        _, chi1, chi2 = _chi(r, FLAVOR, CUTOFF_SR, SHIELDING, CUTOFF_LR)
        g_j, q_j = tl.load(g + j, mask=valid, other=0), tl.load(q + j, mask=valid, other=0)
        along = (dx * vx + dy * vy + dz * vz) / r
        sum_g += chi1 * q_j * along
        sum_q += chi1 * g_j * along
        if CURVATURE:
            both = (g_i * q_j + g_j * q_i) / r
            radial, across = both * (chi2 - chi1 / r) * along, both * chi1
            hx, hy, hz = hx + radial * dx + across * vx, hy + radial * dy + across * vy, hz + radial * dz + across * vz
    tl.store(of_g + i, tl.sum(sum_g))
    tl.store(of_q + i, tl.sum(sum_q))
    if CURVATURE:
        tl.store(of_R + 3 * i, tl.sum(hx))
        tl.store(of_R + 3 * i + 1, tl.sum(hy))
        tl.store(of_R + 3 * i + 2, tl.sum(hz))


def _run(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Start a kernel on the device of the first tensor, which need not be the current one."""
    contiguous = [a.detach().contiguous() if isinstance(a, Tensor) else a for a in arguments]
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        # said, since versions of Triton differ in whether products and sums are fused by default
        kernel[grid](*contiguous, enable_fp_fusion=True, **constants)


def _tile(F: int) -> dict[str, int]:
    """Return how many features, and pairs at a time, fill the registers of a program."""
    width = triton.next_power_of_2(F)
    return {"F": F, "WIDTH": width, "COUNT": min(max(1024 // width, 1), 16)}


def _sort(keys: Tensor, num_keys: int) -> tuple[Tensor, Tensor]:
    """Return (K + 1,) where each of the K keys begins in the sorted ones, and the order."""
    # half as many bits take half as long to sort; nothing is counted, as a count is waited for
    ordered, order = torch.sort(keys.int(), stable=True)
    return torch.searchsorted(ordered, torch.arange(num_keys + 1, dtype=torch.int32, device=keys.device)), order


def sort_edges(edge_index: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.sort_edges`."""
    return _sort(edge_index[1], num_atoms)


def aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.aggregate`."""
    # linear in g, <A(b, T, U), g> has A as its derivative by g
    none, edges, wanted = x[:0], (edge_index, start, order), (False, False, False, True)
    return derivatives(weights, weights[:0], rows, table, none, x, x, x, *edges, wanted)[3]


def derivatives(
    b: Tensor,
    c: Tensor,
    rows: Tensor,
    T: Tensor,
    V: Tensor,
    x: Tensor,
    g: Tensor,
    U: Tensor,
    edge_index: Tensor,
    start: Tensor,
    order: Tensor,
    wanted: Wanted,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.derivatives`."""
    (num_pairs, C), F = b.shape, g.shape[1]
    tile = _tile(F)
    # for what is None nothing is compiled
    c_, V_, U_ = (value if len(value) else None for value in (c, V, U))
    of_b = b.new_empty(num_pairs if wanted[0] else 0, C)
    if wanted[0]:
        grid = (triton.cdiv(num_pairs, tile["COUNT"]),)
        _run(_of_weights, grid, rows, T, V_, x, g, U_, *edge_index, of_b, num_pairs, C=C, **tile)
    # the rows of a spline are few and have many pairs each, which as many programs share
    parts = 8 if C > 1 else 1
    of_T = T.new_empty(parts, len(T) if wanted[1] else 0, F)
    if wanted[1]:
        arguments = b, c_, rows, x, g, U_, *edge_index, *_sort(rows, len(T)), of_T
        _run(_of_table, (len(T), parts), *arguments, C=C, PARTS=parts, **tile)
    of_x, of_g = (g.new_empty(len(g) if asked else 0, F) for asked in wanted[2:])
    if wanted[2] or wanted[3]:
        outputs = of_x if wanted[2] else None, of_g if wanted[3] else None
        arguments = b, c_, rows, T, V_, x, g, U_, edge_index[0], start, order, *outputs, num_pairs
        _run(_of_features, (len(g),), *arguments, C=C, **tile)
    return of_b, of_T.sum(dim=0) if parts > 1 else of_T[0], of_x, of_g


def _interaction(
    Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> tuple[list[Tensor], dict[str, Any]]:
    """Return what all Coulomb kernels take: positions, molecules and the molecule of each atom; constants."""
    molecule = torch.repeat_interleave(start.diff(), output_size=len(Ra))
    # as arguments of other kinds these numbers would be in single precision
    constants = {"FLAVOR": flavor, "CUTOFF_SR": cutoff_sr, "SHIELDING": shielding, "CUTOFF_LR": cutoff_lr}
    return [Ra, start, molecule], {"COUNT": 32, "num_warps": 1, **constants}


def coulomb_potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_potential`."""
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    tensors, constants = _interaction(Ra, start, flavor, cutoff_sr, shielding, cutoff_lr)
    _run(_coulomb_potential, (len(q),), q, *tensors, out, **constants)
    return out


def coulomb_gradient(
    g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient`."""
    out = torch.empty_like(Ra, memory_format=torch.contiguous_format)
    tensors, constants = _interaction(Ra, start, flavor, cutoff_sr, shielding, cutoff_lr)
    _run(_coulomb_gradient, (len(q),), g, q, *tensors, out, **constants)
    return out


def coulomb_gradient_backward(
    u: Tensor,
    g: Tensor,
    q: Tensor,
    Ra: Tensor,
    start: Tensor,
    flavor: str,
    cutoff_sr: float,
    shielding: float,
    cutoff_lr: float,
    curvature: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient_backward`."""
    of_g, of_q, of_R = q.new_empty(len(q)), q.new_empty(len(q)), q.new_empty(len(q) if curvature else 0, 3)
    tensors, constants = _interaction(Ra, start, flavor, cutoff_sr, shielding, cutoff_lr)
    arguments = u, g, q, *tensors, of_g, of_q, of_R
    _run(_coulomb_gradient_backward, (len(q),), *arguments, CURVATURE=curvature, **constants)
    return of_g, of_q, of_R
