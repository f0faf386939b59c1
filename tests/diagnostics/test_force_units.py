"""Names of units for the factor by which forces are off."""

import numpy as np
import pytest
from planted import FACTORS

from pyg_nnp.diagnostics.force_units import NEAR, mismatches, slope_of, stiffness


@pytest.mark.parametrize("name", list(FACTORS))
def test_each_factor_has_a_name(name: str) -> None:
    for noise in (0.97, 1.0, 1.03):
        first = mismatches(noise * FACTORS[name], 0.0, None, None)[0]
        assert first.factor == pytest.approx(FACTORS[name], rel=1e-5)
        for unit in name.removeprefix("per ").split(" as "):
            assert unit in first.meaning


def test_known_units_decide() -> None:
    (one,) = mismatches(1 / 51.4, 0.0, 27.211386, 0.529177)
    assert one.meaning == "in Hartree where energies are in eV, and per Bohr where positions are in Å"
    assert len(mismatches(1 / 51.4, 0.2 / 51.4, None, None)) > 1
    assert mismatches(0.0971, 0.003, 27.211386, 0.0529177)[0].meaning == "per Å where positions are in nm"
    # energies in meV, of which nothing is known here
    assert mismatches(0.529177, 0.0, 27211.386, 0.529177)[0].meaning == "per Bohr where positions are in Å"


@pytest.mark.parametrize(("measured", "unit", "factor"), [(27.6, "Hartree", 27.2114), (0.0439, "kcal/mol", 0.0433641)])
def test_energies_that_are_not_in_the_configured_unit(measured: float, unit: str, factor: float) -> None:
    """Forces in eV/Å, and eV configured, but energies in another unit; kcal/mol and Hartree are not far from eV²."""
    found = mismatches(measured, 0.0, 27.211386, 0.529177)[0]
    assert found.meaning == f"in eV where energies are in {unit}"
    assert found.of_energies
    assert found.factor == pytest.approx(factor, rel=1e-5)
    # bonds of hydrogen, whose stiffness is not well known, contradict the configuration only where nothing else is near
    assert not mismatches(27.6, 0.0, 27.211386, 0.529177, doubt=NEAR)[0].of_energies
    assert mismatches(600.0, 0.0, 27.211386, 0.529177, doubt=NEAR)[0].factor == pytest.approx(627.509, rel=1e-5)
    # an equally good explanation that agrees with the configuration is taken first
    assert not mismatches(23.06, 0.0, 27.211386, 0.529177)[0].of_energies


@pytest.mark.parametrize("measured", [0.0, 0.8, 1.0, 1.2, 1e6])
def test_factors_without_a_name(measured: float) -> None:
    assert mismatches(measured, 0.0, None, None) == ()


def test_slope_is_that_of_scipy_and_ignores_a_broken_point() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, 200)
    y = 3 * x + rng.normal(scale=0.1, size=200)
    fit = slope_of(x, y)
    (expected,), (rest,), _, _ = np.linalg.lstsq(x[:, None], y, rcond=None)
    assert fit.slope == pytest.approx(expected)
    assert fit.error == pytest.approx((rest / 199 / (x @ x)) ** 0.5)
    broken = slope_of(np.append(x, 1e6), np.append(y, -1e6))
    assert broken.slope == pytest.approx(fit.slope)
    assert broken.number == 200
    assert slope_of(np.zeros(5), np.ones(5)).correlation == 0


def test_stiffness_of_like_bonds() -> None:
    rng = np.random.default_rng(0)
    r = rng.normal(1.1, 0.02, 500)
    f = -0.3 * (r - 1.09) + rng.normal(scale=0.002, size=500)
    fit = stiffness(np.append(r, 3.0), np.append(f, 0.0))
    assert fit.slope == pytest.approx(0.3, rel=0.02)
    assert fit.correlation > 0.9
    assert fit.number == 500
