"""From data files to batches."""

from typing import TYPE_CHECKING, Any

from pyg_nnp.data.neighbor_lists import full_neighbor_list
from pyg_nnp.data.preprocess import preprocess
from pyg_nnp.data.references import reference_energies
from pyg_nnp.data.split import split_dataset, split_of

if TYPE_CHECKING:
    from pyg_nnp.data.dataset import MoleculeDataset

__all__ = ["MoleculeDataset", "full_neighbor_list", "preprocess", "reference_energies", "split_dataset", "split_of"]


def __getattr__(name: str) -> Any:
    # PyTorch Geometric takes seconds to import, and files are read without it
    if name == "MoleculeDataset":
        from pyg_nnp.data.dataset import MoleculeDataset

        return MoleculeDataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
