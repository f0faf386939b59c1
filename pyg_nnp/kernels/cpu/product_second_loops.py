"""The compiled loop over atoms of the second derivative of products; see :mod:`pyg_nnp.kernels.cpu.product_loops`."""

from typing import Any

import numba
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


def _mix3(a: Any, x: Any, b: Any, y: Any, z: Any) -> Any:
    """Return a x + b y + z of vectors."""
    return a * x[0] + b * y[0] + z[0], a * x[1] + b * y[1] + z[1], a * x[2] + b * y[2] + z[2]


def _mix5(a: Any, x: Any, b: Any, y: Any, z: Any) -> Any:
    """Return a x + b y + z of components of matrices."""
    return (
        a * x[0] + b * y[0] + z[0],
        a * x[1] + b * y[1] + z[1],
        a * x[2] + b * y[2] + z[2],
        a * x[3] + b * y[3] + z[3],
        a * x[4] + b * y[4] + z[4],
    )


def _scaled3(a: Any, x: Any) -> Any:
    return a * x[0], a * x[1], a * x[2]


def _scaled5(a: Any, x: Any) -> Any:
    return a * x[0], a * x[1], a * x[2], a * x[3], a * x[4]


_MIX3, _MIX5 = numba.njit(inline="always")(_mix3), numba.njit(inline="always")(_mix5)
_SCALED3, _SCALED5 = numba.njit(inline="always")(_scaled3), numba.njit(inline="always")(_scaled5)


def _products_second(
    dg: Any, dx: Any, dt: Any, y: Any, z: Any, g: Any, x: Any, t: Any,
    of_y: Any, of_z: Any, of_g: Any, of_x: Any, of_t: Any, low: int, high: int,
) -> None:  # fmt: skip
    """Of the gradient times dg, dx and dt."""
    separate_arrays()
    S = np.empty((21, ROW), x.dtype)
    two = x.dtype.type(2)
    for i in range(low, high):
        es, us, ws, gs = ROWS5(dg, i), ROWS3(dx, i), ROWS5(dt, i), ROWS5(g, i)
        ys, zs, xs, ts = ROWS3(y, i), ROWS5(z, i), ROWS3(x, i), ROWS5(t, i)
        for f in range(x.shape[2]):
            e1, e2, e3, e4, e5 = AT5(es, f)
            g1, g2, g3, g4, g5 = AT5(gs, f)
            u, w, y_, z_, x_, t_ = AT3(us, f), AT5(ws, f), AT3(ys, f), AT5(zs, f), AT3(xs, f), AT5(ts, f)
            T, W, Z = MATRIX(t_), MATRIX(w), MATRIX(z_)
            Tu, Tx, Ty, Wx, Wy = TIMES(T, u), TIMES(T, x_), TIMES(T, y_), TIMES(W, x_), TIMES(W, y_)
            Zx, Zu, ux, WT, ZT = TIMES(Z, x_), TIMES(Z, u), OUTER(u, x_), PRODUCT(W, T), PRODUCT(Z, T)
            # by the gates
            y_Tu_Wx = DOT3(y_, Tu) + DOT3(y_, Wx)
            PUT5(S, 0, f, (DOT3(y_, u), y_Tu_Wx, DOT5(z_, w), two * DOT5(z_, ux), two * DOT5(z_, WT)))
            g4, g5 = two * g4, two * g5
            # by y and by z
            PUT3(S, 5, f, _MIX3(e1, x_, e2, Tx, _MIX3(g1, u, g2, Tu, _SCALED3(g2, Wx))))
            PUT5(S, 8, f, _MIX5(e3, t_, g3, w, _MIX5(e4, OUTER(x_, x_), e5, PRODUCT(T, T), _MIX5(
                g4, ux, g5, WT, _SCALED5(type(g5)(0), w),
            ))))  # fmt: skip
            # by x and by t
            e4, e5 = two * e4, two * e5
            PUT3(S, 13, f, _MIX3(e1, y_, e2, Ty, _MIX3(e4, Zx, g2, Wy, _SCALED3(g4, Zu))))
            PUT5(S, 16, f, _MIX5(e3, z_, e5, ZT, _MIX5(
                e2, OUTER(y_, x_), g2, OUTER(y_, u), _SCALED5(g5, PRODUCT(Z, W)),
            )))  # fmt: skip
        COPY(S, 0, of_g, i)
        COPY(S, 5, of_y, i)
        COPY(S, 8, of_z, i)
        COPY(S, 13, of_x, i)
        COPY(S, 16, of_t, i)


_PRODUCTS_SECOND = compiled(_products_second, parallel=False)


def _parallel_products_second(threads: int, *arrays: Any) -> None:
    for thread in prange(threads):
        _PRODUCTS_SECOND(*arrays, *part_of_thread(thread, threads, len(arrays[0])))


PRODUCTS_SECOND = compiled(_parallel_products_second)
