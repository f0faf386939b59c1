"""Invariants and products of messages, and two derivatives of each, feature by feature.

Each program has a tile of numbers of features, counted through all atoms: of vectors x (A, 3, F), matrices t (A, 5, F)
and gates g (A, 5, F). For the formulas see :mod:`pyg_nnp.kernels.tensor_reference`.
"""

# kernels have types when they are compiled
# mypy: allow-untyped-defs, allow-incomplete-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_nnp.kernels.gpu.compiler import jit, run
from pyg_nnp.kernels.gpu.small_tensors import add, dot, load, matrix, outer, product, scale, store, times

Tensors = tuple[Tensor, ...]


@jit
def _place(num_features, F: tl.constexpr, TILE: tl.constexpr):
    """Return atoms and features of a tile, and which of them there are."""
    n = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    return n // F, n % F, n < num_features


@jit
def _invariants(x, t, out, num_features, F: tl.constexpr, TILE: tl.constexpr):
    third: tl.constexpr = 1 / 3
    fifth: tl.constexpr = 1 / 5
    i, f, valid = _place(num_features, F, TILE)
    x_, t_ = load(x, i, f, valid, 3, F), load(t, i, f, valid, 5, F)
    store(out, i, f, valid, (third * dot(x_, x_), fifth * dot(t_, t_), dot(x_, times(matrix(t_), x_))), F)


@jit
def _invariants_gradient(c, x, t, of_x, of_t, num_features, F: tl.constexpr, TILE: tl.constexpr):
    third: tl.constexpr = 2 / 3
    fifth: tl.constexpr = 2 / 5
    i, f, valid = _place(num_features, F, TILE)
    x_, t_ = load(x, i, f, valid, 3, F), load(t, i, f, valid, 5, F)
    c1, c2, c3 = load(c, i, f, valid, 3, F)
    store(of_x, i, f, valid, add(scale(third * c1, x_), scale(2 * c3, times(matrix(t_), x_))), F)
    store(of_t, i, f, valid, add(scale(fifth * c2, t_), scale(c3, outer(x_, x_))), F)


@jit
def _invariants_second(dx, dt, c, x, t, of_c, of_x, of_t, num_features, F: tl.constexpr, TILE: tl.constexpr):
    third: tl.constexpr = 2 / 3
    fifth: tl.constexpr = 2 / 5
    i, f, valid = _place(num_features, F, TILE)
    u, w = load(dx, i, f, valid, 3, F), load(dt, i, f, valid, 5, F)
    x_, t_ = load(x, i, f, valid, 3, F), load(t, i, f, valid, 5, F)
    c1, c2, c3 = load(c, i, f, valid, 3, F)
    Tu, Wx = times(matrix(t_), u), times(matrix(w), x_)
    store(of_c, i, f, valid, (third * dot(u, x_), fifth * dot(w, t_), 2 * dot(x_, Tu) + dot(x_, Wx)), F)
    store(of_x, i, f, valid, add(scale(third * c1, u), scale(2 * c3, add(Tu, Wx))), F)
    store(of_t, i, f, valid, add(scale(fifth * c2, w), scale(2 * c3, outer(u, x_))), F)


@jit
def _products(g, x, t, of_x, of_t, num_features, F: tl.constexpr, TILE: tl.constexpr):
    i, f, valid = _place(num_features, F, TILE)
    x_, t_ = load(x, i, f, valid, 3, F), load(t, i, f, valid, 5, F)
    g1, g2, g3, g4, g5 = load(g, i, f, valid, 5, F)
    T = matrix(t_)
    store(of_x, i, f, valid, add(scale(g1, x_), scale(g2, times(T, x_))), F)
    store(of_t, i, f, valid, add(scale(g3, t_), add(scale(g4, outer(x_, x_)), scale(g5, product(T, T)))), F)


@jit
def _products_gradient(y, z, g, x, t, of_g, of_x, of_t, num_features, F: tl.constexpr, TILE: tl.constexpr):
    i, f, valid = _place(num_features, F, TILE)
    y_, z_ = load(y, i, f, valid, 3, F), load(z, i, f, valid, 5, F)
    x_, t_ = load(x, i, f, valid, 3, F), load(t, i, f, valid, 5, F)
    g1, g2, g3, g4, g5 = load(g, i, f, valid, 5, F)
    T, Z = matrix(t_), matrix(z_)
    Ty, Zx, ZT = times(T, y_), times(Z, x_), product(Z, T)
    # the last is the trace of Z T T: T is symmetric
    store(of_g, i, f, valid, (dot(y_, x_), dot(Ty, x_), dot(z_, t_), dot(x_, Zx), dot(ZT, t_)), F)
    store(of_x, i, f, valid, add(scale(g1, y_), add(scale(g2, Ty), scale(2 * g4, Zx))), F)
    store(of_t, i, f, valid, add(scale(g2, outer(y_, x_)), add(scale(g3, z_), scale(2 * g5, ZT))), F)


@jit
def _products_second(
    dg, dx, dt, y, z, g, x, t, of_y, of_z, of_g, of_x, of_t, num_features, F: tl.constexpr, TILE: tl.constexpr
):
    i, f, valid = _place(num_features, F, TILE)
    e1, e2, e3, e4, e5 = load(dg, i, f, valid, 5, F)
    g1, g2, g3, g4, g5 = load(g, i, f, valid, 5, F)
    u, w = load(dx, i, f, valid, 3, F), load(dt, i, f, valid, 5, F)
    y_, z_ = load(y, i, f, valid, 3, F), load(z, i, f, valid, 5, F)
    x_, t_ = load(x, i, f, valid, 3, F), load(t, i, f, valid, 5, F)
    T, W, Z = matrix(t_), matrix(w), matrix(z_)
    # the vector is g1 x + g2 T x; changes of x, t and g are u, w and e
    Tu_Wx = add(times(T, u), times(W, x_))
    ux, WT = scale(2, outer(u, x_)), scale(2, product(W, T))
    store(of_g, i, f, valid, (dot(y_, u), dot(y_, Tu_Wx), dot(z_, w), dot(z_, ux), dot(z_, WT)), F)
    of_vector = add(add(scale(e1, x_), scale(e2, times(T, x_))), add(scale(g1, u), scale(g2, Tu_Wx)))
    store(of_y, i, f, valid, of_vector, F)
    of_matrix = add(scale(e3, t_), add(scale(e4, outer(x_, x_)), scale(e5, product(T, T))))
    store(of_z, i, f, valid, add(of_matrix, add(scale(g3, w), add(scale(g4, ux), scale(g5, WT)))), F)
    Ty, Wy, Zx, Zu = times(T, y_), times(W, y_), times(Z, x_), times(Z, u)
    by_g, by_e = add(scale(g2, Wy), scale(2 * g4, Zu)), add(scale(e2, Ty), scale(2 * e4, Zx))
    store(of_x, i, f, valid, add(scale(e1, y_), add(by_e, by_g)), F)
    by_e = add(scale(e2, outer(y_, x_)), add(scale(e3, z_), scale(2 * e5, product(Z, T))))
    store(of_t, i, f, valid, add(by_e, add(scale(g2, outer(y_, u)), scale(2 * g5, product(Z, W)))), F)


def _filled(kernel: Any, arguments: Tensors, like: Tensors) -> Tensors:
    """Return what a kernel writes into tensors of the same shapes as others; the last argument is M2 (A, 5, F)."""
    outputs = tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in like)
    num_atoms, _, F = arguments[-1].shape
    # few atoms are enough for many programs
    tile = {"F": F, "TILE": 128, "num_warps": 4}
    run(kernel, (triton.cdiv(num_atoms * F, 128),), *arguments, *outputs, num_atoms * F, **tile)
    return outputs


def invariants(M1: Tensor, M2: Tensor) -> Tensor:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants`."""
    return _filled(_invariants, (M1, M2), (M1,))[0].flatten(1)  # (A, 3 F)


def invariants_gradient(c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants_gradient`."""
    return _filled(_invariants_gradient, (c, M1, M2), (M1, M2))


def invariants_second(d1: Tensor, d2: Tensor, c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants_second`."""
    return _filled(_invariants_second, (d1, d2, c, M1, M2), (c, M1, M2))


def products(g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products`."""
    return _filled(_products, (g, M1, M2), (M1, M2))


def products_gradient(y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products_gradient`."""
    return _filled(_products_gradient, (y1, y2, g, M1, M2), (g, M1, M2))


def products_second(
    dg: Tensor, d1: Tensor, d2: Tensor, y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor
) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products_second`."""
    return _filled(_products_second, (dg, d1, d2, y1, y2, g, M1, M2), (y1, y2, g, M1, M2))
