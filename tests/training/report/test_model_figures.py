import numpy as np
from reports import HARTREE

from pyg_nnp.training.metrics import ErrorRow
from pyg_nnp.training.report.model_figures import error_figures
from pyg_nnp.training.report.types import Evaluation, Points


def test_sums_of_charges_are_compared_where_they_differ() -> None:
    for charges, drawn in (([0.0, 0.0], []), ([0.0, 1.0], ["parity_Q"])):
        points = Points(np.array(charges), np.array([0.1, 0.9]), 2)
        row = ErrorRow("Q", "all", 2, 0.1, 0.1, 0.1)
        assert list(error_figures(Evaluation("test", 2, {}, {"Q": points}, [row], [], "Q"), HARTREE)) == drawn
