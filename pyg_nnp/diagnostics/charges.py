"""Whether atomic charges, total charges and dipole moments go together."""

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.data import atomic_masses

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.statistics import Array
from pyg_nnp.diagnostics.survey import Survey, in_batches, sums
from pyg_nnp.diagnostics.verdict import Verdict
from pyg_nnp.units import BOHR_IN_ANGSTROM, E_ANGSTROM_IN_DEBYE

if TYPE_CHECKING:
    from pyg_nnp.config import Config

_FRAMES = 2000
"""Frames whose dipole moments are looked at."""

ORIGINS = ("lab", "center_of_mass", "center_of_nuclear_charge", "centre of the positions")
"""What dipole moments of ions are about: the names of the layer's option, and one that it does not have."""


def judge_charges(source: DataSource, survey: Survey) -> Verdict:
    """Compare the sums of atomic charges with total charges; rounding of charges to three digits passes."""
    error = survey.charge_error
    bad = np.flatnonzero(abs(error) > 0.005 + 5e-4 * survey.sizes)
    if not len(bad):
        return Verdict("Qa", f"add up to Q within {abs(error).max():.1g}")
    worst = bad[abs(error[bad]).argmax()]
    Q = survey.values["Q"]
    in_all = f" (in these frames always {error[bad].mean():+.3g})" if np.ptp(error[bad]) < 0.01 else ""
    advice = "Correct one of them." if "Q" in source.names else "Give Q in Datahub.features."
    text = (
        f"does not add up to {source.field('Q')} in {len(bad)} of {len(Q)} frames: in frame {worst} to "
        f"{error[worst] + Q[worst]:.4g} where the total charge is {Q[worst]:g}{in_all}. {advice}"
    )
    return Verdict("Qa", f"{len(bad)} frames do not add up to Q", (source.message("Qa", text, bad),))


def judge_total_charges(source: DataSource, survey: Survey) -> Verdict:
    """Look for total charges that are no whole numbers."""
    Q = survey.values["Q"]
    bad = np.flatnonzero(abs(Q - np.round(Q)) > 1e-3)
    if not len(bad):
        return Verdict("Q", "whole numbers")
    text = f"is {Q[bad[0]]:.6g} in frame {bad[0]}, no whole number. Is it the total charge, in units of e?"
    return Verdict("Q", f"{len(bad)} frames not whole", (source.message("Q", text, bad),))


@dataclass(frozen=True)
class Dipoles:
    """Dipole moments of some frames beside those of their atomic charges.

    Attributes:
        given: (G, 3) of the data.
        charges: (G, 3) of the atomic charges, about the origin of the coordinates.
        Q: (G,) sums of the atomic charges.
        centres: (4, G, 3) the places that :data:`ORIGINS` names.
        size: root mean square distance of an atom from the centre of its molecule.
    """

    given: Array
    charges: Array
    Q: Array
    centres: Array
    size: float

    def about(self, origin: int, chosen: Array) -> Array:
        """Return (g, 3) the dipole moments of the atomic charges of ``chosen`` frames about an origin."""
        moved: Array = self.charges[chosen] - self.Q[chosen, None] * self.centres[origin][chosen]
        return moved


def judge_dipoles(config: "Config", source: DataSource, dataset: MoleculeDataset) -> Verdict:
    r"""Compare dipole moments with those of the atomic charges, :math:`\sum_i q_i (R_i - R_0)`.

    Of neutral molecules sign and unit are judged, of ions the origin :math:`R_0`. Atomic charges of quantum chemistry
    give the moments to some tenths at best, which the limits allow for.
    """
    dipoles = _some_dipoles(dataset)
    charged = abs(dipoles.Q) > 0.5
    # moments about the centre are the least disturbed by charges that add up to a little more or less than 0
    groups = [(~charged, 3)] if (~charged).sum() >= 10 else []
    if charged.sum() >= 10:
        groups.append((charged, _best_origin(dipoles, charged)))
    verdict = Verdict("M2", "not judged: too few frames")
    for chosen, origin in groups:
        verdict = _sign_and_unit(config, source, dipoles, chosen, origin)
        if verdict.warnings:
            return verdict
    return _judge_origin(config, source, dipoles, charged) if charged.sum() >= 10 else verdict


def _some_dipoles(dataset: MoleculeDataset) -> Dipoles:
    rows: list[tuple[Array, ...]] = []
    some = torch.linspace(0, len(dataset) - 1, min(_FRAMES, len(dataset))).long()
    for batch in in_batches(dataset, some):
        count, frames = batch.num_graphs, batch.batch.numpy()
        Ra, Qa, Za = batch.Ra.double().numpy(), batch.Qa.double().numpy(), batch.Za.numpy()
        kinds = (atomic_masses[Za], Za.astype(np.float64), np.ones(len(Za)))
        centres = [sums(w[:, None] * Ra, frames, count) / sums(w, frames, count)[:, None] for w in kinds]
        spread = sums(np.square(Ra - centres[2][frames]).sum(axis=1), frames, count) / batch.N.numpy()
        centres = [np.zeros((count, 3)), *centres]
        rows.append(
            (
                batch.M2.double().numpy(),
                sums(Qa[:, None] * Ra, frames, count),
                sums(Qa, frames, count),
                spread,
                *centres,
            )
        )
    given, charges, Q, spread, *centres = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return Dipoles(given, charges, Q, np.stack(centres), float(spread.mean() ** 0.5))


def _rms(values: Array) -> float:
    return float(np.square(values).mean() ** 0.5)


def _residual(dipoles: Dipoles, origin: int, chosen: Array) -> float:
    return _rms(dipoles.given[chosen] - dipoles.about(origin, chosen))


def _best_origin(dipoles: Dipoles, charged: Array) -> int:
    return min(range(len(ORIGINS)), key=lambda origin: _residual(dipoles, origin, charged))


def _sign_and_unit(config: "Config", source: DataSource, dipoles: Dipoles, chosen: Array, origin: int) -> Verdict:
    """Say how dipole moments differ from those of the atomic charges by sign and size."""
    x, y = dipoles.about(origin, chosen), dipoles.given[chosen]
    if min(_rms(x), _rms(y)) <= 0.02 * dipoles.size:
        return Verdict("M2", "goes with Qa: both are nearly 0")
    correlation = float((x * y).sum()) / (np.square(x).sum() * np.square(y).sum()) ** 0.5
    # with errors on both sides the ratio of the sizes, not a line of regression, is right
    ratio = _rms(y) / _rms(x)
    how = f"{np.copysign(ratio, correlation):.3g} times that of the atomic charges (correlation {abs(correlation):.2g})"
    if abs(correlation) < 0.4:
        text = f"does not follow from the atomic charges {source.field('Qa')}: correlation {correlation:.2g}. "
        return Verdict("M2", "does not follow from Qa", (source.message("M2", text + "Do they belong together?"),))
    warnings = []
    if correlation < 0:
        text = f"points the wrong way: it is {how}. Change the sign of the dipoles, or of the charges."
        warnings.append(source.message("M2", text))
    named = _unit_of(config, ratio)
    if named and abs(correlation) > 0.7:
        factor, unit = named
        text = f"looks like {unit}: it is {how}. The unit is charge times length: divide by {factor:.6g} in the file."
        warnings.append(source.message("M2", text))
    usual = "; atomic charges give it to some tenths at best"
    return Verdict("M2", how if warnings else f"goes with Qa: it is {how}{usual}", tuple(warnings))


def _unit_of(config: "Config", ratio: float) -> tuple[float, str] | None:
    """Name the unit of dipoles that are so many times too large, if it is another than that of the positions."""
    in_bohr = config.units.names["length"] == "Bohr"  # else in Å
    length, other = ("Bohr", "Å") if in_bohr else ("Å", "Bohr")
    debye = E_ANGSTROM_IN_DEBYE * (BOHR_IN_ANGSTROM if in_bohr else 1.0)
    per_length = BOHR_IN_ANGSTROM if in_bohr else 1 / BOHR_IN_ANGSTROM
    choices = {
        debye: f"Debye where positions are in {length}",
        per_length: f"e·{other} where positions are in {length}",
    }
    factor = min(choices, key=lambda choice: abs(log(ratio / choice)))
    # charges that are too small by as much are common, too large ones less so
    near = (0.97 * factor, 1.5 * factor)
    return (factor, choices[factor]) if near[0] < ratio < near[1] else None


def _judge_origin(config: "Config", source: DataSource, dipoles: Dipoles, charged: Array) -> Verdict:
    """Say what the dipole moments of ions are about, and whether the model takes them about the same."""
    residuals = [_residual(dipoles, origin, charged) for origin in range(len(ORIGINS))]
    best = int(np.argmin(residuals))
    neutral = _residual(dipoles, 3, ~charged) if (~charged).sum() >= 10 else 0.0
    if residuals[best] > max(0.3 * dipoles.size * _rms(dipoles.Q[charged]), 3 * neutral):
        text = (
            f"of the ions fits no origin: what is left after the atomic charges is {residuals[best]:.3g} (root mean "
            "square) about the best of coordinate origin, centre of mass, of nuclear charge and of positions. "
            "Were the positions moved after the calculation? Give positions and dipoles in one frame of reference."
        )
        return Verdict("M2", "fits no origin", (source.message("M2", text),))
    used = _origin_of_model(config)
    # centres that are nearly the same cannot be told apart
    if residuals[ORIGINS.index(used)] < 1.5 * residuals[best]:
        return Verdict("M2", f"goes with Qa, ions about {used}")
    option = ORIGINS[best] if best < 3 else None
    advice = (
        f"Set origin: {option} in AtomicCharge2Dipole." if option else "Give dipoles about the centre of mass instead."
    )
    text = (
        f"of the ions is about the {ORIGINS[best]}, and the model's is about {used}: root mean square differences to "
        f"the atomic charges' are {residuals[best]:.3g} and {residuals[ORIGINS.index(used)]:.3g}. {advice}"
    )
    return Verdict("M2", f"ions about {ORIGINS[best]}", (source.message("M2", text),))


def _origin_of_model(config: "Config") -> str:
    for model in config.Modelhub.internal_FFs.values():
        for layer in model.layers:
            if model.active and layer.name == "AtomicCharge2Dipole":
                return str({**model.build_params, **layer.params}.get("origin", "lab"))
    return "lab"
