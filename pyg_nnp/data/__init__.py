"""From data files to batches."""

from pyg_nnp.data.block import Block
from pyg_nnp.data.dataset import MoleculeDataset
from pyg_nnp.data.neighbors import full_neighbor_list
from pyg_nnp.data.preprocess import preprocess
from pyg_nnp.data.references import References, reference_energies
from pyg_nnp.data.split import split_dataset

__all__ = [
    "Block",
    "MoleculeDataset",
    "References",
    "full_neighbor_list",
    "preprocess",
    "reference_energies",
    "split_dataset",
]
