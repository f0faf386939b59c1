"""Whether data can be right: each check returns findings, which are printed or raised in one place.

``examine`` runs the checks of the fields: ``duplicates``, ``outliers``, ``forces``, ``charges``, ``dipoles``. What
compares data, split and model with each other is in ``configured_units``, ``model``, ``parts`` and ``references``.
"""

from pyg_nnp.diagnostics.examine import examine
from pyg_nnp.diagnostics.finding import Finding, report

__all__ = ["Finding", "examine", "report"]
