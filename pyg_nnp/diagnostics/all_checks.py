"""All checks of data, split and models, in their order."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.config_against_file import check_stated_units, check_unread
from pyg_nnp.diagnostics.elements import check_elements
from pyg_nnp.diagnostics.finding import report
from pyg_nnp.diagnostics.kept_checks import examine_once
from pyg_nnp.diagnostics.model import check_length_unit, check_models
from pyg_nnp.diagnostics.parts import check_parts
from pyg_nnp.diagnostics.references import check_references
from pyg_nnp.diagnostics.sample import small_sample
from pyg_nnp.potential.potential import Potential

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

log = logging.getLogger(__name__)


def run_checks(
    config: Config, dataset: "MoleculeDataset", parts: Mapping[str, Tensor], potentials: Mapping[str, Potential]
) -> None:
    """Log the table of a data set and all findings on data, split and models.

    Args:
        config: the configuration.
        dataset: its data set.
        parts: part -> (n,) its frames.
        potentials: name -> potential, of the models that are to be trained.

    Raises:
        UserError: something in the configuration or the data cannot be right.
    """
    sample = small_sample(dataset)
    report(check_stated_units(config, potentials))
    # before forces are checked, which with positions in a wrong unit look wrong themselves
    for name in potentials:
        report(check_length_unit(config, name, sample))
    table, findings = examine_once(config, dataset, parts)
    log.info("Data set: %s", table)
    report(findings)
    report(check_elements(str(config.Datahub.path), dataset.sources["Za"], sample, config.units.bohr))
    report(check_unread(config, dataset))
    report(check_parts(config, dataset.summary, parts, potentials))
    report(check_references(config, dataset))
    report(check_models(config, potentials, dataset, sample))
