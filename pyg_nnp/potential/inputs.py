"""What layers may read of a batch, checked and complete."""

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_nnp.errors import DataError, FieldError
from pyg_nnp.fields import FIELDS, INPUTS, OF_CELLS
from pyg_nnp.functional.neighbor_search import MARGIN, check_edges, find_edges, find_edges_in_cells
from pyg_nnp.layers.base import Fields


def complete_inputs(
    data: Data,
    dtype: torch.dtype,
    reach: float,
    not_for_cells: str = "",
    not_for_slabs: str = "",
    not_for_wires: str = "",
) -> Fields:
    """Return the inputs of a potential, and nothing else of the data, so that no label can leak into a prediction.

    Args:
        data: a ``Data`` or ``Batch``, which is not modified.
        dtype: of the potential; positions and cells are float64 whatever it is.
        reach: pairs that are farther apart do not matter [length]; those within are searched for, if none are given.
        not_for_cells: why there is a layer that has no meaning in periodic cells; empty: there is none.
        not_for_slabs: likewise in cells that are not periodic in all directions.
        not_for_wires: likewise in cells that are periodic in one direction alone.

    Raises:
        DataError: a neighbor list that is not whole; a periodic cell without volume, or one where a layer has no
            meaning.
        FieldError: a field is missing.
    """
    inputs: Fields = {}
    for name in INPUTS:
        if name in data:
            value: Tensor = data[name]
            value = value.clone() if value.is_inference() else value
            of_field = torch.float64 if FIELDS[name].dtype == "float64" else dtype
            inputs[name] = value.to(of_field) if value.is_floating_point() else value
        elif name not in ("batch", "edge_index", *OF_CELLS):
            raise FieldError(f"the data has no '{name}'. A potential needs Ra, Za, N and Q.")
    inputs.setdefault("batch", torch.zeros_like(inputs["Za"]))
    # what is at the cutoff in double precision may be within in that of the potential
    reach = (1 + MARGIN) * reach
    if "cell" in inputs:
        # without pbc, all lattice vectors but 0 are periodic
        inputs.setdefault("pbc", inputs["cell"].any(dim=2).long())  # (G, 3)
        if not_for_cells and bool(inputs["pbc"].any()):
            raise DataError(f"the cell is periodic, but {not_for_cells}.")
        periodic = inputs["pbc"].ne(0).sum(dim=1)  # (G,) directions
        if not_for_slabs and bool(((periodic > 0) & (periodic < 3)).any()):
            raise DataError(f"the cell is periodic, but not in all directions, and {not_for_slabs}.")
        if not_for_wires and bool((periodic == 1).any()):
            raise DataError(f"the cell is periodic, but in one direction alone, and {not_for_wires}.")
    if "edge_index" in inputs:
        check_edges(inputs["edge_index"], len(inputs["Za"]), inputs.get("Tij"), in_cells="cell" in inputs)
    elif "cell" in inputs:
        of_cells = inputs["N"], inputs["cell"], inputs["pbc"]
        inputs["edge_index"], inputs["Tij"] = find_edges_in_cells(inputs["Ra"], *of_cells, reach)
    else:
        inputs["edge_index"] = find_edges(inputs["Ra"], inputs["N"], reach)
    return inputs
