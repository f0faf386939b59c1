"""Whether the numbers of a data set can be right: sign, units, duplicates, outliers, charges, dipoles."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.charges import judge_charges, judge_dipoles, judge_total_charges
from pyg_nnp.diagnostics.forces import judge_forces
from pyg_nnp.diagnostics.frames import judge_duplicates, judge_energies, judge_outlying_forces
from pyg_nnp.diagnostics.survey import survey
from pyg_nnp.diagnostics.table import summary_table
from pyg_nnp.diagnostics.verdict import Verdict

if TYPE_CHECKING:
    from pyg_nnp.config import Config

__all__ = ["Verdict", "examine"]


def examine(config: "Config", dataset: MoleculeDataset, parts: Mapping[str, Tensor]) -> tuple[str, tuple[str, ...]]:
    """Judge a data set. All frames are looked at once; what compares frames or fits lines takes at most some thousand.

    Args:
        config: what the data set was made by.
        dataset: the data set.
        parts: its split.

    Returns:
        The summary table, and a warning for each thing that seems to be wrong.
    """
    fields, source = dataset.fields, DataSource(config.Datahub.data_path, dataset.sources)
    seen = survey(dataset)
    verdicts = [judge_duplicates(source, dataset, seen, parts), judge_total_charges(source, seen)]
    if "E" in fields:
        verdicts.append(judge_energies(source, seen))
    if "Fa" in fields:
        verdicts += [judge_forces(config, source, dataset, seen), judge_outlying_forces(source, seen)]
    if "Qa" in fields:
        verdicts.append(judge_charges(source, seen))
    if "Qa" in fields and "M2" in fields:
        verdicts.append(judge_dipoles(config, source, dataset))
    table = summary_table(seen, dataset.sources, parts, verdicts, config.units.names)
    return table, tuple(warning for verdict in verdicts for warning in verdict.warnings)
