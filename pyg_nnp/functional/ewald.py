"""The electrostatic potential of point charges in periodic cells, by a smooth particle-mesh Ewald sum."""

import math
from dataclasses import dataclass

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from pyg_nnp.functional.mesh import Points, gather, spline_factors, spread


@dataclass(frozen=True)
class _Accuracy:
    range: float  # of both sums: what is left out is exp(-range^2)
    order: int  # of the splines, an even number
    oversampling: float  # of the mesh


# errors of energies are 1e-6 and 1e-12, relative to the sum of the magnitudes of its terms (tests/functional)
_ACCURACY = {torch.float32: _Accuracy(3.7, 8, 1.2), torch.float64: _Accuracy(5.3, 16, 1.2)}


def screening(cutoff: float, dtype: torch.dtype) -> float:
    """Return the parameter alpha of an Ewald sum whose sum over pairs ends at a cutoff [1/length]."""
    return _ACCURACY[dtype].range / cutoff


def screened_part(r: Tensor, alpha: float) -> Tensor:
    """Return (P,) erf(alpha r) / r, the part of 1 / r that is summed on the mesh, at (P,) distances."""
    return torch.erf(alpha * r) / r


def mesh_potential(q: Tensor, Ra: Tensor, cell: Tensor, pbc: Tensor, batch: Tensor, alpha: float) -> Tensor:
    r"""Return the potential of screened charges and all of their images, without that of each charge's own cloud.

    .. math:: V_i = \frac{4 \pi}{\Omega} \sum_{k \neq 0} \frac{e^{-k^2 / 4 \alpha^2}}{k^2} S(k) e^{i k \cdot R_i}
        - \frac{2 \alpha}{\sqrt{\pi}} q_i - \frac{\pi}{\alpha^2 \Omega} \sum_j q_j
        , \quad S(k) = \sum_j q_j e^{-i k \cdot R_j}

    The sum over pairs adds erfc(alpha r) / r. The last term is that of a background which makes a charged cell neutral.
    The sum over k is taken by fast Fourier transform. It can be differentiated any number of times by all tensors, and
    its derivatives are those of what is returned, to rounding.

    Slabs have no image in the direction that is not periodic, and no background: their cells become so high, L, that
    1 / r may end at a distance of L / 2 from each plane. Its coefficients have a factor
    :math:`1 - e^{-k_\parallel L / 2} \cos(k_\perp L / 2)`, and :math:`-\pi L^2 / 2 \Omega` at k = 0, for the part
    :math:`-2 \pi |z|` that the charges of a plane have. What is left out is as small as that of the other sums.

    Source: Essmann et al., J. Chem. Phys. 1995, 103, 8577, with splines of higher order; slabs as in Rozzi et al.,
    Phys. Rev. B 2006, 73, 205119.

    Args:
        q: (A,) charges.
        Ra: (A, 3) positions, float64, inside or outside of the cells [length].
        cell: (G, 3, 3) lattice vectors, float64, one a row [length].
        pbc: (G, 3) whether each direction is periodic: two of them at least.
        batch: (A,) cell of each atom, in order.
        alpha: as :func:`screening` returns it for the type of the charges [1/length].

    Returns:
        (A,) the potential [charge/length].
    """
    accuracy, G = _ACCURACY[q.dtype], len(cell)
    positions = torch.split(Ra, batch.bincount(minlength=G).tolist())  # (N, 3) each
    directions = pbc.tolist()
    of_cells = zip(cell, directions, positions, strict=True)
    high = [h if all(is_in) else _high_cell(h, is_in, R, accuracy.range / alpha) for h, is_in, R in of_cells]
    cell = torch.stack(high)  # (G, 3, 3)
    farthest = 2 * alpha * accuracy.range * accuracy.oversampling  # of the mesh, in k
    longest = (cell.detach().norm(dim=2) * (farthest / math.pi)).tolist()
    sizes = [[next_fast_len(max(2, math.ceil(length)), real=True) for length in lengths] for lengths in longest]
    totals = [math.prod(size) for size in sizes]
    of_atom = torch.tensor(sizes, device=q.device).index_select(0, batch)  # (A, 3)
    start = torch.tensor([sum(totals[:g]) for g in range(G)], device=q.device).index_select(0, batch)  # (A,)
    # cell by cell, since rows of a tensor that occur many times have atomic additions as their derivative on a GPU
    parts = zip(positions, torch.linalg.inv(cell), strict=True)
    u = torch.cat([R @ inverse for R, inverse in parts]) * of_atom  # (A, 3) in mesh points
    first = u.detach().floor()
    points = Points(first.long(), of_atom, start, sum(totals), accuracy.order)
    t = (u - first).to(q.dtype)  # (A, 3)
    meshes = torch.split(spread(q, t, points), totals)  # (K1 * K2 * K3,) each
    systems = zip(meshes, sizes, cell, directions, strict=True)
    convolved = [
        _convolved(mesh.view(size), h, alpha, all(is_in)).flatten() for mesh, size, h, is_in in systems
    ]  # (K1 * K2 * K3,) each
    return gather(torch.cat(convolved), t, points) - (2 * alpha / math.sqrt(math.pi)) * q  # (A,)


def _high_cell(h: Tensor, pbc: list[int], R: Tensor, cutoff: float) -> Tensor:
    """Return the (3, 3) cell of a slab: its last vector is across the others, and twice as long as slab and cutoff.

    From lattice vectors (3, 3), of which one is not periodic, and (N, 3) positions.
    """
    k = pbc.index(0)
    a, b = h[k - 2], h[k - 1]  # (3,)
    normal = torch.linalg.cross(a, b)
    normal = normal / normal.norm()
    lowest, highest = (R.detach() @ normal.detach()).aminmax()  # of (N,)
    return torch.stack((a, b, 2 * (highest - lowest + cutoff) * normal))  # (3, 3)


def _convolved(mesh: Tensor, h: Tensor, alpha: float, is_bulk: bool) -> Tensor:
    """Return the potential on a mesh, (K1, K2, K3), of charges on it, in a cell h, (3, 3), of bulk or of a slab."""
    sizes, order = mesh.shape, _ACCURACY[mesh.dtype].order
    dtype, device = mesh.dtype, mesh.device
    metric = ((2 * math.pi) ** 2 * torch.linalg.inv(h @ h.T)).to(mesh.dtype)  # (3, 3)
    x, y = (torch.fft.fftfreq(size, 1 / size, dtype=dtype, device=device) for size in sizes[:2])  # (K1,), (K2,)
    z = torch.fft.rfftfreq(sizes[2], 1 / sizes[2], dtype=dtype, device=device)  # (K3 / 2 + 1,)
    x, y = x[:, None, None], y[:, None]  # (K1, 1, 1), (K2, 1)
    in_plane = metric[0, 0] * x * x + 2 * metric[0, 1] * x * y + metric[1, 1] * y * y  # (K1, K2, 1)
    k_squared = in_plane + (2 * metric[0, 2] * x + 2 * metric[1, 2] * y) * z + metric[2, 2] * z * z  # (K1, K2, K)
    is_zero = torch.zeros_like(k_squared, dtype=torch.bool)
    is_zero[0, 0, 0] = True
    k_squared = k_squared.masked_fill(is_zero, 1.0)
    a, b, c = (spline_factors(size, order, dtype, device).square() for size in sizes)
    volume = torch.linalg.det(h).abs().to(mesh.dtype)
    kernel = (-k_squared / (4 * alpha**2)).exp() / k_squared  # (K1, K2, K)
    if is_bulk:
        # splines add up to 1, so what is constant is that of the background
        kernel = kernel.masked_fill(is_zero, -1 / (4 * alpha**2))
    else:
        middle = h[2].detach().norm().to(mesh.dtype) / 2
        along = in_plane.masked_fill(is_zero[..., :1], 1.0).sqrt().masked_fill(is_zero[..., :1], 0.0)  # (K1, K2, 1)
        kernel = kernel * (1 - (-middle * along).exp() * (1 - 2 * (z % 2)))
        kernel = kernel.masked_fill(is_zero, -(middle**2) / 2)
    kernel = kernel * (4 * math.pi / volume)  # (K1, K2, K)
    kernel = kernel / (a[:, None, None] * b[:, None] * c[: len(z)])  # (K1, K2, K)
    potential: Tensor = torch.fft.irfftn(kernel * torch.fft.rfftn(mesh), s=sizes, norm="forward")  # (K1, K2, K3)
    return potential
