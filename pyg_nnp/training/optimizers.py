"""Optimisers: Adam, AdamW, and Muon for the matrices of a network."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from pyg_nnp.config import Trainer
from pyg_nnp.potential.potential import Potential

# coefficients of the iteration, which takes singular values between 0.7 and 1.2 in five steps
_A, _B, _C = 3.4445, -4.775, 2.0315
_ITERATIONS = 5


def make_optimizer(potential: Potential, trainer: Trainer) -> Optimizer:
    """Return the optimiser that a configuration names, for all parameters of a potential."""
    rate, decay = trainer.learning_rate, trainer.weight_decay
    if trainer.optimizer == "muon":
        matrices = square_matrices(potential, potential.spec.get("build_params", {}).get("dim_embedding"))
        chosen = {id(matrix) for matrix, _ in matrices}
        return Muon(matrices, [p for p in potential.parameters() if id(p) not in chosen], rate, decay)
    if trainer.optimizer == "adamw":
        return AdamW(potential.parameters(), lr=rate, weight_decay=decay, fused=True)
    return Adam(potential.parameters(), lr=rate, fused=True)


def square_matrices(module: nn.Module, width: int | None) -> list[tuple[nn.Parameter, int]]:
    """Return the weights that take features to features, with the number of features, ``width``.

    Their two dimensions are multiples of it. Embeddings are none, nor is what reads radial functions or writes results.
    """
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    found = (p for p in module.parameters() if p.dim() == 2 and id(p) not in embeddings)
    return [(p, width) for p in found if width and p.shape[0] % width == 0 and p.shape[1] % width == 0]


class Muon(AdamW):
    r"""Muon for matrices, cut into square blocks, and AdamW for all other parameters.

    .. math:: M_t = \mu M_{t-1} + G_t, \qquad W_t = (1 - \eta \lambda) W_{t-1}
        - 0.2\, \eta \sqrt{F}\, \mathrm{orthogonal}(G_t + \mu M_t)

    ``orthogonal`` takes the singular values of each F x F block to about 1, by five steps of a quintic Newton-Schulz
    iteration in the precision of the parameters, of all blocks at once. A block is what takes one kind of features to
    another, as each gate of a layer that makes several.

    PyTorch's own class works on whole matrices, one after the other and in bfloat16, which CPUs are slow with.

    Source: Jordan et al., https://kellerjordan.github.io/posts/muon, 2024; the factor 0.2 √F, with which the rate of
    Adam fits, from Liu et al., arXiv 2502.16982, eq. 4.

    Args:
        matrices: (m F, n F) parameters, each with its F.
        others: parameters for AdamW.
        lr: learning rate of both.
        weight_decay: of both.
        momentum: :math:`\mu`.
    """

    def __init__(
        self,
        matrices: Sequence[tuple[nn.Parameter, int]],
        others: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        self._widths = [width for _, width in matrices]
        groups: list[dict[str, Any]] = [{"params": [matrix for matrix, _ in matrices]}, {"params": list(others)}]
        # PyTorch refuses an empty group only if it is the first of all
        super().__init__([group for group in groups if group["params"]], lr=lr, weight_decay=weight_decay, fused=True)
        self._momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; parameters without a gradient stay as they are."""
        loss = None if closure is None else closure()
        groups = self.param_groups
        if self._widths:
            self._step_matrices(groups[0])
        try:
            self.param_groups = groups[1:] if self._widths else groups
            super().step()
        finally:
            self.param_groups = groups
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        by_width: dict[int, list[tuple[Tensor, Tensor]]] = {}
        for matrix, width in zip(group["params"], self._widths, strict=True):
            if matrix.grad is None:
                continue
            state = self.state[matrix]
            if not state:
                # AdamW asks for the first when a state is loaded
                state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(matrix)
            momentum: Tensor = state["momentum"].mul_(self._momentum).add_(matrix.grad)
            by_width.setdefault(width, []).append((matrix, matrix.grad.add(momentum, alpha=self._momentum)))
        for width, updates in by_width.items():
            cut = [_blocks(update, width) for _, update in updates]
            size = -group["lr"] * 0.2 * math.sqrt(width)
            steps = torch.split(orthogonal(torch.cat(cut)).mul_(size), [len(blocks) for blocks in cut])
            for (matrix, _), blocks in zip(updates, steps, strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(_joined(blocks, matrix.shape))


def _blocks(matrix: Tensor, width: int) -> Tensor:
    """Cut a (m F, n F) matrix into (m n, F, F) blocks."""
    m, n = (size // width for size in matrix.shape)
    return matrix.view(m, width, n, width).transpose(1, 2).reshape(m * n, width, width)  # (m n, F, F)


def _joined(blocks: Tensor, shape: torch.Size) -> Tensor:
    """Put (m n, F, F) blocks together into a (m F, n F) matrix."""
    width = blocks.shape[-1]
    by_place = blocks.view(shape[0] // width, shape[1] // width, width, width)  # (m, n, F, F)
    return by_place.transpose(1, 2).reshape(shape)  # (m F, n F)


def orthogonal(blocks: Tensor) -> Tensor:
    """Return (B, F, F) matrices with the singular vectors of ``blocks``, and singular values of about 1."""
    X: Tensor = blocks / blocks.norm(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    for _ in range(_ITERATIONS):
        G = X @ X.mT  # (B, F, F)
        X = torch.baddbmm(X, torch.baddbmm(G, G, G, beta=_B, alpha=_C), X, beta=_A)
    return X
