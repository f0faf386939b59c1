"""All checks of data, split and models, in their order."""

import logging
from collections.abc import Mapping

from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.diagnostics.configured_units import check_energy_unit, check_length_unit
from pyg_nnp.diagnostics.examine import examine
from pyg_nnp.diagnostics.finding import report
from pyg_nnp.diagnostics.model import check_cutoff, check_largest_element
from pyg_nnp.diagnostics.parts import check_parts
from pyg_nnp.diagnostics.references import check_references
from pyg_nnp.diagnostics.sample import small_sample
from pyg_nnp.potential.potential import Potential

log = logging.getLogger(__name__)


def run_checks(
    config: Config, dataset: MoleculeDataset, parts: Mapping[str, Tensor], potentials: Mapping[str, Potential]
) -> None:
    """Log the table of a data set and all findings on data, split and models.

    Args:
        config: the configuration.
        dataset: the data set.
        parts: part -> (n,) its frames.
        potentials: name -> potential, of the models that are to be trained.

    Raises:
        ConfigError: something in the configuration cannot be right.
        DataError: something in the data cannot be right.
    """
    sample = small_sample(dataset)
    # before forces are checked, which with positions in a wrong unit look wrong themselves
    for name in potentials:
        report(check_length_unit(config, name, sample))
    table, findings = examine(config, dataset, parts)
    log.info("Data set: %s", table)
    report(findings)
    report(check_parts(config, dataset.summary, parts))
    report(check_references(config, dataset, sample))
    for name, potential in potentials.items():
        report(check_largest_element(config, name, potential, dataset.summary))
        report(check_energy_unit(config, name, sample))
        report(check_cutoff(config, name, potential, sample))
