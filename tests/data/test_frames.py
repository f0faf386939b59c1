"""Frames gathered from flat rows, in memory or in the file of the store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from batch_checks import assert_equal_batches, assert_equal_data

from pyg_nnp.data import MoleculeDataset

Frame = dict[str, Any]
OpenDataset = Callable[..., MoleculeDataset]
MakeStore = Callable[..., Path]


def test_sharing_does_not_change_the_data(waters: list[Frame], open_dataset: OpenDataset) -> None:
    shared, full = open_dataset(waters), open_dataset(waters, share=False)
    for one, other in zip(shared, full, strict=True):
        assert_equal_data(one, other)
    assert_equal_batches(shared.batch([4, 0, 2]), full.batch([4, 0, 2]))


def test_what_is_taken_out_is_not_the_data_set_itself(dataset: MoleculeDataset) -> None:
    for take in (lambda: dataset[0], lambda: dataset.batch([0, 1])):
        untouched, changed = take(), take()
        for name in changed.keys():  # noqa: SIM118
            if name != "num_nodes":
                changed[name] += 1
        assert_equal_data(take(), untouched)


@pytest.mark.parametrize("indices", [[], [-1], [4], [[0]]])
def test_batch_of_frames_that_do_not_exist(frames: list[Frame], open_dataset: OpenDataset, indices: list[Any]) -> None:
    with pytest.raises(IndexError, match=r"a batch takes one or more frames from 0 to 3, got \["):
        open_dataset(frames).batch(indices)


def test_both_ways_give_the_same_bits(frames: list[Frame], waters: list[Frame], make_store: MakeStore) -> None:
    # more atoms than a chunk has rows
    for number, some in enumerate((frames * 500, waters * 200)):
        folder = make_store(some)
        one, other = (MoleculeDataset(folder, in_memory=in_memory) for in_memory in (True, False))
        indices = torch.randperm(len(one), generator=torch.Generator().manual_seed(number))
        for mine, theirs in zip(one.batches(indices, 300), other.batches(indices, 300), strict=True):
            assert_equal_batches(mine, theirs)
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in one.fields)
        assert one.elements == other.elements
