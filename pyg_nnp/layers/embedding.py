"""From atomic numbers to features."""

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from pyg_nnp.layers.base import Fields, Layer

AtomicNumber = Annotated[int, Field(ge=1, le=118)]


class RandomAtomEmbedding(Layer):
    r"""Give each element a learned vector of features, :math:`x_i = a_{Z_i}`, drawn from a normal distribution.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566

    Args:
        dim_embedding: number F of features.
        max_Za: largest atomic number.
        generator: where the first values are drawn from.

    Reads:
        Za: (A,) atomic numbers.

    Writes:
        x: (A, F) features of the atoms.
    """

    reads = ("Za",)
    writes = ("x",)

    def __init__(
        self, dim_embedding: PositiveInt, max_Za: AtomicNumber, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(max_Za + 1, dim_embedding, generator=generator))

    def forward(self, Za: Tensor) -> Fields:
        """Look the features up."""
        return {"x": nn.functional.embedding(Za, self.weight)}
