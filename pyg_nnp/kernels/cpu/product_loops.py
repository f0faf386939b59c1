"""The compiled loops over atoms of invariants and products of messages, and two derivatives of each.

All is done feature by feature, with vectors x (A, 3, F), matrices t (A, 5, F) and gates g (A, 5, F); for the formulas
see :mod:`pyg_nnp.kernels.tensor_reference`. Results come into rows of a fixed length first, which are known not to
overlap. A loop has the atoms from ``low`` to ``high``.
"""

from typing import Any

import numpy as np
from numba import prange

from pyg_nnp.kernels.cpu.compiler import compiled, part_of_thread, separate_arrays
from pyg_nnp.kernels.cpu.small_tensors import (
    AT3,
    AT5,
    COPY,
    DOT3,
    DOT5,
    MATRIX,
    OUTER,
    PRODUCT,
    PUT3,
    PUT5,
    ROWS3,
    ROWS5,
    TIMES,
)
from pyg_nnp.kernels.cpu.tensor_features import ROW


def _invariants(x: Any, t: Any, out: Any, low: int, high: int) -> None:
    separate_arrays()
    S = np.empty((3, ROW), x.dtype)
    third, fifth = x.dtype.type(1 / 3), x.dtype.type(1 / 5)
    for i in range(low, high):
        xs, ts = ROWS3(x, i), ROWS5(t, i)
        for f in range(x.shape[2]):
            x_, t_ = AT3(xs, f), AT5(ts, f)
            PUT3(S, 0, f, (third * DOT3(x_, x_), fifth * DOT5(t_, t_), DOT3(x_, TIMES(MATRIX(t_), x_))))
        COPY(S, 0, out, i)


def _invariants_gradient(c: Any, x: Any, t: Any, of_x: Any, of_t: Any, low: int, high: int) -> None:
    """Of the invariants times c (A, 3, F)."""
    separate_arrays()
    S = np.empty((8, ROW), x.dtype)
    two, third, fifth = x.dtype.type(2), x.dtype.type(2 / 3), x.dtype.type(2 / 5)
    for i in range(low, high):
        cs, xs, ts = ROWS3(c, i), ROWS3(x, i), ROWS5(t, i)
        for f in range(x.shape[2]):
            c1, c2, c3 = AT3(cs, f)
            c1, c2 = third * c1, fifth * c2
            x_, t_ = AT3(xs, f), AT5(ts, f)
            p, q = TIMES(MATRIX(t_), x_), OUTER(x_, x_)
            d = two * c3
            PUT3(S, 0, f, (c1 * x_[0] + d * p[0], c1 * x_[1] + d * p[1], c1 * x_[2] + d * p[2]))
            PUT5(S, 3, f, (
                c2 * t_[0] + c3 * q[0], c2 * t_[1] + c3 * q[1], c2 * t_[2] + c3 * q[2],
                c2 * t_[3] + c3 * q[3], c2 * t_[4] + c3 * q[4],
            ))  # fmt: skip
        COPY(S, 0, of_x, i)
        COPY(S, 3, of_t, i)


def _invariants_second(
    dx: Any, dt: Any, c: Any, x: Any, t: Any, of_c: Any, of_x: Any, of_t: Any, low: int, high: int
) -> None:
    """Of the gradient times dx and dt."""
    separate_arrays()
    S = np.empty((11, ROW), x.dtype)
    two, third, fifth = x.dtype.type(2), x.dtype.type(2 / 3), x.dtype.type(2 / 5)
    for i in range(low, high):
        dxs, dts, cs, xs, ts = ROWS3(dx, i), ROWS5(dt, i), ROWS3(c, i), ROWS3(x, i), ROWS5(t, i)
        for f in range(x.shape[2]):
            u, w, x_, t_ = AT3(dxs, f), AT5(dts, f), AT3(xs, f), AT5(ts, f)
            c1, c2, c3 = AT3(cs, f)
            c1, c2, c3 = third * c1, fifth * c2, two * c3
            Tu, Wx, q = TIMES(MATRIX(t_), u), TIMES(MATRIX(w), x_), OUTER(u, x_)
            PUT3(S, 0, f, (third * DOT3(u, x_), fifth * DOT5(w, t_), two * DOT3(x_, Tu) + DOT3(x_, Wx)))
            PUT3(S, 3, f, (
                c1 * u[0] + c3 * (Tu[0] + Wx[0]), c1 * u[1] + c3 * (Tu[1] + Wx[1]), c1 * u[2] + c3 * (Tu[2] + Wx[2]),
            ))  # fmt: skip
            PUT5(S, 6, f, (
                c2 * w[0] + c3 * q[0], c2 * w[1] + c3 * q[1], c2 * w[2] + c3 * q[2],
                c2 * w[3] + c3 * q[3], c2 * w[4] + c3 * q[4],
            ))  # fmt: skip
        COPY(S, 0, of_c, i)
        COPY(S, 3, of_x, i)
        COPY(S, 6, of_t, i)


def _products(g: Any, x: Any, t: Any, of_v: Any, of_t: Any, low: int, high: int) -> None:
    separate_arrays()
    S = np.empty((8, ROW), x.dtype)
    for i in range(low, high):
        gs, xs, ts = ROWS5(g, i), ROWS3(x, i), ROWS5(t, i)
        for f in range(x.shape[2]):
            g1, g2, g3, g4, g5 = AT5(gs, f)
            x_, t_ = AT3(xs, f), AT5(ts, f)
            T = MATRIX(t_)
            p, q, r = TIMES(T, x_), OUTER(x_, x_), PRODUCT(T, T)
            PUT3(S, 0, f, (g1 * x_[0] + g2 * p[0], g1 * x_[1] + g2 * p[1], g1 * x_[2] + g2 * p[2]))
            PUT5(S, 3, f, (
                g3 * t_[0] + g4 * q[0] + g5 * r[0], g3 * t_[1] + g4 * q[1] + g5 * r[1],
                g3 * t_[2] + g4 * q[2] + g5 * r[2], g3 * t_[3] + g4 * q[3] + g5 * r[3],
                g3 * t_[4] + g4 * q[4] + g5 * r[4],
            ))  # fmt: skip
        COPY(S, 0, of_v, i)
        COPY(S, 3, of_t, i)


def _products_gradient(
    y: Any, z: Any, g: Any, x: Any, t: Any, of_g: Any, of_x: Any, of_t: Any, low: int, high: int
) -> None:
    """Of the products times y (A, 3, F) and z (A, 5, F)."""
    separate_arrays()
    S = np.empty((13, ROW), x.dtype)
    two = x.dtype.type(2)
    for i in range(low, high):
        ys, zs, gs, xs, ts = ROWS3(y, i), ROWS5(z, i), ROWS5(g, i), ROWS3(x, i), ROWS5(t, i)
        for f in range(x.shape[2]):
            g1, g2, g3, g4, g5 = AT5(gs, f)
            y_, z_, x_, t_ = AT3(ys, f), AT5(zs, f), AT3(xs, f), AT5(ts, f)
            T, Z = MATRIX(t_), MATRIX(z_)
            Ty, Zx, ZT, q = TIMES(T, y_), TIMES(Z, x_), PRODUCT(Z, T), OUTER(y_, x_)
            # of the trace of Z T T, by the components of Z T: T is symmetric
            PUT5(S, 0, f, (DOT3(y_, x_), DOT3(Ty, x_), DOT5(z_, t_), DOT3(x_, Zx), DOT5(ZT, t_)))
            g4, g5 = two * g4, two * g5
            PUT3(S, 5, f, (
                g1 * y_[0] + g2 * Ty[0] + g4 * Zx[0], g1 * y_[1] + g2 * Ty[1] + g4 * Zx[1],
                g1 * y_[2] + g2 * Ty[2] + g4 * Zx[2],
            ))  # fmt: skip
            PUT5(S, 8, f, (
                g2 * q[0] + g3 * z_[0] + g5 * ZT[0], g2 * q[1] + g3 * z_[1] + g5 * ZT[1],
                g2 * q[2] + g3 * z_[2] + g5 * ZT[2], g2 * q[3] + g3 * z_[3] + g5 * ZT[3],
                g2 * q[4] + g3 * z_[4] + g5 * ZT[4],
            ))  # fmt: skip
        COPY(S, 0, of_g, i)
        COPY(S, 5, of_x, i)
        COPY(S, 8, of_t, i)


_INVARIANTS = compiled(_invariants, parallel=False)
_INVARIANTS_GRADIENT = compiled(_invariants_gradient, parallel=False)
_INVARIANTS_SECOND = compiled(_invariants_second, parallel=False)
_PRODUCTS = compiled(_products, parallel=False)
_PRODUCTS_GRADIENT = compiled(_products_gradient, parallel=False)


def _parallel_invariants(threads: int, *arrays: Any) -> None:
    for thread in prange(threads):
        _INVARIANTS(*arrays, *part_of_thread(thread, threads, len(arrays[0])))


def _parallel_invariants_gradient(threads: int, *arrays: Any) -> None:
    for thread in prange(threads):
        _INVARIANTS_GRADIENT(*arrays, *part_of_thread(thread, threads, len(arrays[0])))


def _parallel_invariants_second(threads: int, *arrays: Any) -> None:
    for thread in prange(threads):
        _INVARIANTS_SECOND(*arrays, *part_of_thread(thread, threads, len(arrays[0])))


def _parallel_products(threads: int, *arrays: Any) -> None:
    for thread in prange(threads):
        _PRODUCTS(*arrays, *part_of_thread(thread, threads, len(arrays[0])))


def _parallel_products_gradient(threads: int, *arrays: Any) -> None:
    for thread in prange(threads):
        _PRODUCTS_GRADIENT(*arrays, *part_of_thread(thread, threads, len(arrays[0])))


INVARIANTS = compiled(_parallel_invariants)
INVARIANTS_GRADIENT = compiled(_parallel_invariants_gradient)
INVARIANTS_SECOND = compiled(_parallel_invariants_second)
PRODUCTS = compiled(_parallel_products)
PRODUCTS_GRADIENT = compiled(_parallel_products_gradient)
