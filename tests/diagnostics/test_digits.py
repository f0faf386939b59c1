"""Energies that were rounded to single precision."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import report
from small_set import FRAMES, config

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.digits import check_digits
from pyg_nnp.fields import TARGETS

SOURCE = DataSource("some.npz", {"E": "energy"})


def summary(E: np.ndarray, counts: np.ndarray | None = None) -> DatasetSummary:
    """Return what is known of frames of one molecule, or of some composition, with these energies."""
    n = len(E)
    counts = np.tile([2, 1], (n, 1)) if counts is None else counts
    numbers = np.zeros(n)
    empty = DatasetSummary(
        elements=np.array([1, 8]),
        sizes=counts.sum(axis=1),
        periodic=numbers,
        counts=counts,
        order=np.zeros(n, dtype=np.uint64),
        shape=np.zeros((n, 10)),
        Q=numbers,
        E=numbers,
        largest_force=numbers[:0],
        net_force=numbers[:0],
        charge_error=numbers[:0],
        missing=np.zeros((n, len(TARGETS)), dtype=np.int64),
        weight=numbers[:0],
        pair_counts=numbers,
        pair_keys=numbers,
        pair_distances=numbers,
        precision=0.0,
        fingerprint="",
        ranges={},
    )
    return replace(empty, E=E.astype(np.float64))


def energies(mean: float, spread: float, n: int = 200) -> np.ndarray:
    return mean + spread * np.random.default_rng(0).normal(size=n)


@pytest.mark.parametrize(("mean", "spread"), [(-1e5, 0.3), (-4e5, 2.0), (-5e3, 0.01), (2e7, 1.0), (-1e8, 0.01)])
def test_single_precision_that_is_too_coarse(mean: float, spread: float) -> None:
    exact = energies(mean, spread)
    assert check_digits(SOURCE, summary(exact)) is None
    single = exact.astype(np.float32)
    # also as texts, with as many digits as single precision has
    for E in (single, single.astype(str).astype(np.float64)):
        result = check_digits(SOURCE, summary(E))
        assert result is not None
        (finding,) = result.findings
        assert finding.kind == "rounded energies"
        assert finding.numbers["step"] == abs(np.spacing(single.max()))
        assert "'energy' (E) is in single precision, which has steps of" in str(finding)


@pytest.mark.parametrize(
    ("mean", "spread"),
    [
        (-97_000, 4.0),  # MD17 in kcal/mol
        (-500, 0.01),  # Hartree
        (-10, 0.5),  # without energies of atoms
        (0, 0),
        (-76.5, 0),
    ],
)
def test_single_precision_that_is_enough(mean: float, spread: float) -> None:
    assert check_digits(SOURCE, summary(energies(mean, spread).astype(np.float32))) is None


def test_what_energies_of_atoms_explain_is_no_spread() -> None:
    counts = np.random.default_rng(1).integers(1, 9, size=(200, 2))
    E = energies(0, 0.1) + counts @ [-20_000.0, -2_000.0]
    assert check_digits(SOURCE, summary(E, counts)) is None
    result = check_digits(SOURCE, summary(E.astype(np.float32), counts))
    assert result is not None
    assert result.findings[0].numbers["spread"] == pytest.approx(0.1, rel=0.2)


def test_energies_of_atoms_alone_have_lost_nothing() -> None:
    counts = np.random.default_rng(1).integers(1, 9, size=(200, 2))
    assert check_digits(SOURCE, summary(counts @ [-75.5, -0.5], counts)) is None


def test_few_frames_and_missing_labels_are_not_judged() -> None:
    coarse = energies(-1e6, 0.1).astype(np.float32)
    assert check_digits(SOURCE, summary(coarse[:10])) is None
    assert check_digits(SOURCE, summary(coarse[:0])) is None
    coarse[::2] = np.nan
    assert check_digits(SOURCE, summary(coarse)) is not None


def test_check_tells_rounded_energies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    document["Datahub"]["transforms"]["atomic_energy"] = "fit"
    code, said = report(document, FRAMES, tmp_path, capsys)
    assert code == 0, said
    planted = [one | {"E": float(np.float32(one["E"] - 1e5))} for one in FRAMES]
    code, said = report(document, planted, tmp_path, capsys)
    assert code == 1, said
    assert "is in single precision, which has steps of 0.00781 for numbers around 1e+05" in said
