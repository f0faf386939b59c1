"""All checks of the fields of a data set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.charges import check_charges, check_dipoles, check_total_charges
from pyg_nnp.diagnostics.constant_labels import check_constant_energies, check_zero_forces
from pyg_nnp.diagnostics.digits import check_digits
from pyg_nnp.diagnostics.duplicates import check_duplicates
from pyg_nnp.diagnostics.finding import CheckResult, Finding
from pyg_nnp.diagnostics.forces import check_forces
from pyg_nnp.diagnostics.outliers import check_energy_levels, check_outlying_energies, check_outlying_forces
from pyg_nnp.diagnostics.stress import check_stress
from pyg_nnp.diagnostics.table import data_table

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def examine(config: Config, dataset: "MoleculeDataset", parts: Mapping[str, Tensor]) -> tuple[str, tuple[Finding, ...]]:
    """Check the numbers of a data set, and return its table and what seems to be wrong.

    What is known of all frames is in the summary of the data set; what compares frames or fits lines takes at most
    some thousand.
    """
    fields, source, summary = dataset.fields, dataset.source, dataset.summary
    results = [check_duplicates(source, dataset, parts), check_total_charges(source, summary)]
    if "E" in fields:
        judged = dataset.molecules.numpy()
        constant = check_constant_energies(source, summary, judged)
        levels = check_energy_levels(source, summary, judged, config.units)
        results.append(check_outlying_energies(source, summary, judged))
        results += filter(None, [constant, levels, check_digits(source, summary)])
    results += _check_derivatives(config, dataset)
    if "Fa" in fields:
        results.append(check_outlying_forces(source, summary))
        results += filter(None, [check_zero_forces(source, summary)])
    if "Qa" in fields:
        results.append(check_charges(source, summary))
    if "Qa" in fields and "M2" in fields:
        results.append(check_dipoles(source, dataset, config.units, origin_of_dipoles(config)))
    return data_table(config, dataset, parts, results), tuple(
        finding for result in results for finding in result.findings
    )


def _check_derivatives(config: Config, dataset: "MoleculeDataset") -> list[CheckResult]:
    """Check forces and stress: the derivatives of the energy."""
    source, units, negated = dataset.source, config.units, config.Datahub.transforms.negative_gradient
    forces = [check_forces(source, dataset, units, negated)] if "Fa" in dataset.fields else []
    if any(result.findings for result in forces):
        # they are a part of what stress is compared with
        return forces
    return forces + check_stress(source, dataset, units)


def origin_of_dipoles(config: Config) -> str:
    """Return about what the first active model takes dipole moments."""
    for model in config.Modelhub.internal_FFs.values():
        for layer in model.layers:
            if model.active and layer.name == "AtomicCharge2Dipole":
                return str({**model.build_params, **layer.params}.get("origin", "lab"))
    return "lab"
