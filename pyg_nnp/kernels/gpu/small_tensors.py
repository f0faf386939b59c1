"""Vectors and symmetric traceless matrices in registers: tuples of 3, of 5 components, or of 6.

A matrix of 6 is xx, yy, zz, xy, yz and xz; for its 5 components see :mod:`pyg_nnp.functional.harmonics`. Components are
tiles of many features, of atoms or of pairs.
"""

# kernels have types when they are compiled, and tuples grow as they are
# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code=assignment

import triton.language as tl

from pyg_nnp.kernels.gpu.compiler import jit


@jit
def load(x, i, f, valid, NUM: tl.constexpr, F: tl.constexpr):
    """Return the components of the features f of the atoms i, from x (A, NUM, F); 0 where nothing is valid."""
    found = ()
    for k in tl.static_range(NUM):
        found = found + (tl.load(x + (i * NUM + k) * F + f, mask=valid, other=0),)  # noqa: RUF005
    return found


@jit
def store(x, i, f, valid, value, F: tl.constexpr):
    """Write all components of the features f of the atoms i to x."""
    for k in tl.static_range(len(value)):
        tl.store(x + (i * len(value) + k) * F + f, value[k], mask=valid)


@jit
def add(x, y):
    """Return x + y."""
    total = ()
    for k in tl.static_range(len(x)):
        total = total + (x[k] + y[k],)  # noqa: RUF005
    return total


@jit
def scale(a, x):
    """Return a x."""
    scaled = ()
    for k in tl.static_range(len(x)):
        scaled = scaled + (a * x[k],)  # noqa: RUF005
    return scaled


@jit
def dot(x, y):
    """Return the sum of the products of the components."""
    total = x[0] * y[0]
    for k in tl.static_range(1, len(x)):
        total += x[k] * y[k]
    return total


@jit
def matrix(t):
    """Return xx, yy, zz, xy, yz and xz of a matrix from its components."""
    # named without tl.constexpr, a constant would be a number in single precision
    s: tl.constexpr = 0.5**0.5
    q: tl.constexpr = 6**-0.5
    return s * t[4] - q * t[2], -s * t[4] - q * t[2], (q + q) * t[2], s * t[0], s * t[1], s * t[3]


@jit
def components(B):
    """Return the components of the traceless part of a symmetric matrix."""
    s: tl.constexpr = 0.5**0.5
    q: tl.constexpr = 6**-0.5
    xx, yy, zz, xy, yz, xz = B
    return (s + s) * xy, (s + s) * yz, q * (zz + zz - xx - yy), (s + s) * xz, s * (xx - yy)


@jit
def times(T, x):
    """Return matrix times vector."""
    xx, yy, zz, xy, yz, xz = T
    return xx * x[0] + xy * x[1] + xz * x[2], xy * x[0] + yy * x[1] + yz * x[2], xz * x[0] + yz * x[1] + zz * x[2]


@jit
def outer(x, z):
    """Return the components of x z^T + z x^T, halved."""
    xy, yz, xz = x[0] * z[1] + x[1] * z[0], x[1] * z[2] + x[2] * z[1], x[0] * z[2] + x[2] * z[0]
    return components((x[0] * z[0], x[1] * z[1], x[2] * z[2], 0.5 * xy, 0.5 * yz, 0.5 * xz))


@jit
def product(T, U):
    """Return the components of T U + U T, halved."""
    Tx, Ty, Tz = (T[0], T[3], T[5]), (T[3], T[1], T[4]), (T[5], T[4], T[2])
    Ux, Uy, Uz = (U[0], U[3], U[5]), (U[3], U[1], U[4]), (U[5], U[4], U[2])
    xy, yz, xz = dot(Tx, Uy) + dot(Ux, Ty), dot(Ty, Uz) + dot(Uy, Tz), dot(Tx, Uz) + dot(Ux, Tz)
    return components((dot(Tx, Ux), dot(Ty, Uy), dot(Tz, Uz), 0.5 * xy, 0.5 * yz, 0.5 * xz))
