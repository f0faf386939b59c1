"""Dispersion energies beside other programs, and what torch makes of them."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.functional.dispersion import damping_of, dispersion_of, energies_of

BOHR = 0.529177210544


def energy(method: str, functional: str, atoms: Atoms, charge: float = 0.0, three_body: bool = True) -> float:
    damping = damping_of(method, functional, three_body)
    cell = atoms.cell.array / BOHR if atoms.pbc.all() else None
    return dispersion_of(method, damping, atoms.numbers, atoms.positions / BOHR, charge, cell)[0]


# of tad-dftd3 0.7.0 and tad-dftd4 0.8.0, which share no code with the programs that are used: D3(BJ) without and with
# triples, D4, in Hartree
@pytest.mark.parametrize(
    ("name", "functional", "charge", "pairs", "triples", "D4"),
    [
        ("H2O", "pbe", 0, -0.0003594789398086426, -0.00035947868357180104, -0.00019692034152664478),
        ("C6H6", "b3lyp", 0, -0.018908691961586482, -0.018899276909403635, -0.01732604578168055),
        ("CH3CONH2", "pbe0", 0, -0.004282061977762991, -0.004277103712534833, -0.0038350345721680406),
        ("SiCl4", "tpss", 0, -0.01169065598598108, -0.01168912667329611, -0.013409523975852022),
        ("C5H5N", "blyp", 1, -0.02108032748980587, -0.021073320186388102, -0.019532845706560685),
        ("PH3", "pbe", 0, -0.0013694947168342922, -0.0013694653785079618, -0.00107937607190674),
    ],
)
def test_molecules_beside_independent_programs(
    name: str, functional: str, charge: float, pairs: float, triples: float, D4: float
) -> None:
    atoms = molecule(name)
    assert energy("D3", functional, atoms, charge, three_body=False) == pytest.approx(pairs, abs=1e-9)
    assert energy("D3", functional, atoms, charge) == pytest.approx(triples, abs=1e-9)
    assert energy("D4", functional, atoms, charge) == pytest.approx(D4, abs=1e-9)


# summed over all images within 60 Bohr with coefficients and coordination weights of tad-dftd3 0.7.0
@pytest.mark.parametrize(
    ("crystal", "functional", "expected"),
    [
        (bulk("NaCl", "rocksalt", a=5.64), "pbe", -0.015752489188920603),
        (bulk("Si"), "pbe", -0.023082652647454314),
        (bulk("C", "hcp", a=2.46, c=6.7), "b3lyp", -0.017722140773189912),
    ],
)
def test_crystals_beside_an_independent_sum(crystal: Atoms, functional: str, expected: float) -> None:
    assert energy("D3", functional, crystal, three_body=False) == pytest.approx(expected, abs=1e-9)


def test_D4_of_a_molecule_alone_in_a_large_cell() -> None:
    water = molecule("H2O")
    alone = energy("D4", "pbe", water)
    water.set_cell([28.0] * 3)
    water.pbc = True
    # the images are 53 Bohr away: -C6 / r^6 of six neighbors is 1e-8
    assert energy("D4", "pbe", water) == pytest.approx(alone, abs=1e-7)


def quartic(positions: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return energies of two systems of two atoms, sum x^4 + sum h^4 + (sum x)^2 (sum h)^2, and their derivatives."""
    x, h = positions.reshape(2, -1), cells.reshape(2, -1)
    X, H = x.sum(1), h.sum(1)
    by_x = 4 * x**3 + (2 * X * H**2)[:, None]
    by_h = 4 * h**3 + (2 * X**2 * H)[:, None]
    return (x**4).sum(1) + (h**4).sum(1) + X**2 * H**2, by_x.reshape(-1, 3), by_h.reshape(-1, 3, 3)


def test_derivatives_by_torch() -> None:
    batch = torch.tensor([0, 0, 1, 1])
    generator = torch.Generator().manual_seed(0)
    Ra, cell = (torch.randn(size, generator=generator, dtype=torch.float64) for size in ((4, 3), (2, 3, 3)))
    given = Ra.requires_grad_(), cell.requires_grad_()

    def energies(Ra: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        return energies_of(quartic, Ra, cell, batch)

    assert torch.autograd.gradcheck(energies, given)
    assert torch.autograd.gradgradcheck(energies, given, atol=1e-4, rtol=1e-4)


def test_mistakes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"dftd3 has no parameters of D3 for the functional 'nonsense'.*papers: pbe"):
        damping_of("D3", "nonsense", False)
    with pytest.raises(ConfigError, match="dftd4 has no parameters of D4 for the functional 'nonsense'"):
        damping_of("D4", "nonsense", True)
    with pytest.raises(DataError, match=r"D4 cannot be computed: .* Take the layer Dispersion out, or these data"):
        energy("D4", "pbe", Atoms("Rf"))

    def fails(name: str) -> Any:
        if name.startswith("dftd"):
            raise ModuleNotFoundError(f"No module named '{name}'")
        return import_module(name)

    monkeypatch.setattr("pyg_nnp.functional.dispersion.import_module", fails)
    with pytest.raises(
        ConfigError, match=r"D4 is computed by the package dftd4, which cannot be imported .*pip install"
    ):
        damping_of("D4", "pbe", True)
