"""Vectors and symmetric traceless matrices of one feature, in compiled code: tuples of 3, of 5 components, or of 6.

A matrix of 6 is xx, yy, zz, xy, yz and xz; for its 5 components see :mod:`pyg_nnp.functional.harmonics`.
"""

from typing import Any

import numba

Numbers = tuple[Any, ...]


def _matrix(t: Numbers) -> Numbers:
    """Return xx, yy, zz, xy, yz and xz of a matrix from its components."""
    s, q = type(t[0])(0.5**0.5), type(t[0])(6**-0.5)
    return s * t[4] - q * t[2], -s * t[4] - q * t[2], (q + q) * t[2], s * t[0], s * t[1], s * t[3]


def _times(T: Numbers, x: Numbers) -> Numbers:
    """Return matrix times vector."""
    xx, yy, zz, xy, yz, xz = T
    return xx * x[0] + xy * x[1] + xz * x[2], xy * x[0] + yy * x[1] + yz * x[2], xz * x[0] + yz * x[1] + zz * x[2]


def _components(B: Numbers) -> Numbers:
    """Return the components of the traceless part of a symmetric matrix."""
    xx, yy, zz, xy, yz, xz = B
    s, q = type(xx)(0.5**0.5), type(xx)(6**-0.5)
    return (s + s) * xy, (s + s) * yz, q * (zz + zz - xx - yy), (s + s) * xz, s * (xx - yy)


_MATRIX, _TIMES = numba.njit(inline="always")(_matrix), numba.njit(inline="always")(_times)
_COMPONENTS = numba.njit(inline="always")(_components)


def _outer(x: Numbers, z: Numbers) -> Numbers:
    """Return the components of x z^T + z x^T, halved."""
    h = type(x[0])(0.5)
    return _COMPONENTS((
        x[0] * z[0], x[1] * z[1], x[2] * z[2],
        h * (x[0] * z[1] + x[1] * z[0]), h * (x[1] * z[2] + x[2] * z[1]), h * (x[0] * z[2] + x[2] * z[0]),
    ))  # fmt: skip


def _product(T: Numbers, U: Numbers) -> Numbers:
    """Return the components of T U + U T, halved."""
    h = type(T[0])(0.5)
    xx, yy, zz, xy, yz, xz = T
    uxx, uyy, uzz, uxy, uyz, uxz = U
    return _COMPONENTS((
        xx * uxx + xy * uxy + xz * uxz,
        xy * uxy + yy * uyy + yz * uyz,
        xz * uxz + yz * uyz + zz * uzz,
        h * (xx * uxy + xy * uyy + xz * uyz + uxx * xy + uxy * yy + uxz * yz),
        h * (xy * uxz + yy * uyz + yz * uzz + uxy * xz + uyy * yz + uyz * zz),
        h * (xx * uxz + xy * uyz + xz * uzz + uxx * xz + uxy * yz + uxz * zz),
    ))  # fmt: skip


def _dot3(x: Numbers, z: Numbers) -> Any:
    return x[0] * z[0] + x[1] * z[1] + x[2] * z[2]


def _dot5(t: Numbers, u: Numbers) -> Any:
    return t[0] * u[0] + t[1] * u[1] + t[2] * u[2] + t[3] * u[3] + t[4] * u[4]


def _at3(rows: Numbers, f: int) -> Numbers:
    return rows[0][f], rows[1][f], rows[2][f]


def _at5(rows: Numbers, f: int) -> Numbers:
    return rows[0][f], rows[1][f], rows[2][f], rows[3][f], rows[4][f]


def _rows3(x: Any, i: int) -> Numbers:
    return x[i, 0], x[i, 1], x[i, 2]


def _rows5(t: Any, i: int) -> Numbers:
    return t[i, 0], t[i, 1], t[i, 2], t[i, 3], t[i, 4]


def _put3(S: Any, at: int, f: int, x: Numbers) -> None:
    S[at, f], S[at + 1, f], S[at + 2, f] = x


def _put5(S: Any, at: int, f: int, t: Numbers) -> None:
    S[at, f], S[at + 1, f], S[at + 2, f], S[at + 3, f], S[at + 4, f] = t


def _copy(S: Any, at: int, out: Any, i: int) -> None:
    """Copy rows of S to all components of an atom."""
    for c in range(out.shape[1]):
        for f in range(out.shape[2]):
            out[i, c, f] = S[at + c, f]


# put into the loops that call them
OUTER, PRODUCT = numba.njit(inline="always")(_outer), numba.njit(inline="always")(_product)
DOT3, DOT5 = numba.njit(inline="always")(_dot3), numba.njit(inline="always")(_dot5)
AT3, AT5 = numba.njit(inline="always")(_at3), numba.njit(inline="always")(_at5)
ROWS3, ROWS5 = numba.njit(inline="always")(_rows3), numba.njit(inline="always")(_rows5)
PUT3, PUT5 = numba.njit(inline="always")(_put3), numba.njit(inline="always")(_put5)
COPY = numba.njit(inline="always")(_copy)
MATRIX, TIMES = _MATRIX, _TIMES
