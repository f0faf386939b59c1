"""Optimisers: Adam, AdamW, and Muon for the matrices of a network."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from pyg_nnp.config import Trainer
from pyg_nnp.potential.potential import Potential

# of each step: of the quintics that take [0.003, 1], and then what the last one made of it, nearest to 1; together they
# take it to between 0.8 and 1.2, and smaller singular values to 296 times as much
_QUINTICS = (
    (8.3837, -24.7659, 18.3571),
    (4.0434, -3.0114, 0.5695),
    (3.5056, -2.6267, 0.5257),
    (2.4901, -1.8343, 0.4368),
)


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

    ``orthogonal`` takes the singular values of each F x F block to about 1, by four quintic polynomials in the
    precision of the parameters, of all blocks at once. A block is what takes one kind of features to another, as each
    gate of a layer that makes several.

    PyTorch's own class works on whole matrices, one after the other and in bfloat16, which CPUs are slow with.

    Source: Jordan et al., https://kellerjordan.github.io/posts/muon, 2024; the factor 0.2 √F, with which the rate of
    Adam fits, from Liu et al., arXiv 2502.16982, eq. 4; a polynomial of its own for each step, which four of do what
    five equal ones do, from Amsel et al., arXiv 2505.16932, theorem 3.1.

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
        by_width: dict[int, list[Tensor]] = {}
        for matrix, width in zip(group["params"], self._widths, strict=True):
            if matrix.grad is None:
                continue
            if not self.state[matrix]:
                # AdamW asks for the first when a state is loaded
                self.state[matrix].update(step=torch.zeros(()), momentum=torch.zeros_like(matrix))
            by_width.setdefault(width, []).append(matrix)
        for width, matrices in by_width.items():
            gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
            momenta = [self.state[matrix]["momentum"] for matrix in matrices]
            torch._foreach_mul_(momenta, self._momentum)
            torch._foreach_add_(momenta, gradients)
            updates = torch._foreach_add(gradients, momenta, alpha=self._momentum)
            views = [_blocks(update, width) for update in updates]  # (m, n, F, F)
            counts = [len(view) * view.shape[1] for view in views]
            together = updates[0].new_empty(sum(counts), width, width)  # (B, F, F)
            for view, blocks in zip(views, torch.split(together, counts), strict=True):
                blocks.view(view.shape).copy_(view)
            if group["weight_decay"]:
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            size = -group["lr"] * 0.2 * math.sqrt(width)
            for matrix, blocks in zip(matrices, torch.split(orthogonal(together), counts), strict=True):
                view = _blocks(matrix, width)
                view.add_(blocks.view(view.shape), alpha=size)


def _blocks(matrix: Tensor, width: int) -> Tensor:
    """Return a (m F, n F) matrix as (m, n, F, F), in the same memory."""
    m, n = (size // width for size in matrix.shape)
    return matrix.view(m, width, n, width).transpose(1, 2)  # (m, n, F, F)


def orthogonal(blocks: Tensor) -> Tensor:
    """Return (B, F, F) matrices with the singular vectors of ``blocks``, and singular values of about 1."""
    X: Tensor = blocks / blocks.norm(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    G = X @ X.mT  # (B, F, F)
    # the sum of the fourth powers of singular values: closer to the largest than that of squares, and nearly free
    bound = G.norm(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    X, G = X / bound.sqrt(), G / bound
    for step, (a, b, c) in enumerate(_QUINTICS):
        G = X @ X.mT if step else G  # (B, F, F)
        X = torch.baddbmm(X, torch.baddbmm(G, G, G, beta=b, alpha=c), X, beta=a)
    return X
