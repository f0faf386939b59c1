"""Muon against its definition, block by block, and which parameters it takes."""

import numpy as np
import pytest
import torch
from torch import nn
from toy import toy_config

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.errors import ConfigError
from pyg_nnp.training.optimizers import Muon, make_optimizer, orthogonal, square_matrices


def test_orthogonal_keeps_singular_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randn(7, 16, 16, generator=generator, dtype=torch.float64)
    U, _, Vh = torch.linalg.svd(blocks)
    values = U.mT @ orthogonal(blocks) @ Vh.mT
    diagonal = values.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(values, torch.diag_embed(diagonal), atol=1e-12, rtol=0)
    assert 0.79 < float(diagonal.min()) < float(diagonal.max()) < 1.21


def test_orthogonal_of_matrices_of_low_rank() -> None:
    """Singular values down to 0.003 of the largest become about 1, others grow in proportion; nothing stays nothing."""
    U, V = (
        torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(n)))[0]
        for n in (1, 2)
    )
    values = torch.zeros(16, dtype=torch.float64)
    values[:4] = torch.tensor([1.0, 0.1, 0.0035, 1e-7])
    blocks = torch.stack((1e-9 * U @ torch.diag(values) @ V.mT, torch.zeros(16, 16)))
    found = (U.mT @ orthogonal(blocks)[0] @ V).diagonal()
    assert bool(((found[:3] > 0.79) & (found[:3] < 1.21)).all())
    assert abs(float(found[3]) / 1e-7 - 296) < 3
    assert not orthogonal(blocks)[1].any()


def test_steps_are_those_of_the_formula() -> None:
    """Three steps of a (2 F, 3 F) matrix, each block by itself."""
    generator = torch.Generator().manual_seed(1)
    matrix = nn.Parameter(torch.randn(8, 12, generator=generator, dtype=torch.float64))
    expected, momentum = matrix.detach().clone(), torch.zeros(8, 12, dtype=torch.float64)
    optimizer = Muon([(matrix, 4)], [], lr=0.1, weight_decay=0.2)
    for _ in range(3):
        gradient = torch.randn(8, 12, generator=generator, dtype=torch.float64)
        matrix.grad = gradient.clone()
        optimizer.step()
        momentum = 0.95 * momentum + gradient
        expected = expected * (1 - 0.1 * 0.2)
        for i in range(0, 8, 4):
            for j in range(0, 12, 4):
                block = (gradient + 0.95 * momentum)[None, i : i + 4, j : j + 4]
                expected[i : i + 4, j : j + 4] -= 0.1 * 0.2 * np.sqrt(4) * orthogonal(block)[0]
        torch.testing.assert_close(matrix.detach(), expected)


def test_the_others_take_steps_of_adamw() -> None:
    generator = torch.Generator().manual_seed(2)
    ours, theirs = (nn.Parameter(torch.ones(5, dtype=torch.float64)) for _ in range(2))
    matrix, idle = nn.Parameter(torch.eye(4)), nn.Parameter(torch.eye(4))
    muon = Muon([(matrix, 4), (idle, 4)], [ours], lr=0.1, weight_decay=0.2)
    adam = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.2, fused=True)
    for _ in range(3):
        ours.grad = torch.randn(5, generator=generator, dtype=torch.float64)
        theirs.grad, matrix.grad = ours.grad.clone(), torch.ones(4, 4)
        muon.step()
        adam.step()
    assert torch.equal(ours, theirs)
    assert not torch.equal(matrix, torch.eye(4))
    assert torch.equal(idle, torch.eye(4)), "without a gradient it stays"


def test_state_goes_on() -> None:
    def trained(steps: int, optimizer: Muon, parameters: list[nn.Parameter], first: int = 0) -> None:
        for step in range(first, first + steps):
            for number, parameter in enumerate(parameters):
                generator = torch.Generator().manual_seed(10 * step + number)
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()

    whole = [nn.Parameter(torch.ones(4, 8)), nn.Parameter(torch.ones(3))]
    trained(4, Muon([(whole[0], 4)], [whole[1]], lr=0.1), whole)
    parts = [nn.Parameter(torch.ones(4, 8)), nn.Parameter(torch.ones(3))]
    first = Muon([(parts[0], 4)], [parts[1]], lr=0.1)
    trained(2, first, parts)
    second = Muon([(parts[0], 4)], [parts[1]], lr=0.1)
    second.load_state_dict(first.state_dict())
    trained(2, second, parts, first=2)
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)


def test_weights_from_features_to_features_alone() -> None:
    config = config_from_dict(toy_config(Trainer__optimizer="muon"))
    potential = pyg_nnp.build_potential(config, "FF01")
    width = config.Modelhub.internal_FFs["FF01"].build_params["dim_embedding"]
    names = {id(p): name for name, p in potential.named_parameters()}
    found = {names[id(matrix)] for matrix, _ in square_matrices(potential, width)}
    assert found == {"layers.4.interactions.0.lin.weight"}
    optimizer = make_optimizer(potential, config.Trainer)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, len(names) - 1]
    embedding = nn.Embedding(2 * width, width)
    assert square_matrices(embedding, width) == []


def test_weight_decay_needs_an_optimizer_that_has_it() -> None:
    with pytest.raises(ConfigError, match=r"Trainer\.weight_decay: adam has no decay .* optimizer: adamw"):
        config_from_dict(toy_config(Trainer__weight_decay=0.01))
