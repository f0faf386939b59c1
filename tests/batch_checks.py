"""Whether two batches are the same."""

import torch
from torch_geometric.data import Batch, Data


def assert_equal_data(one: Data, other: Data) -> None:
    assert list(one.keys()) == list(other.keys())
    for name in other.keys():  # noqa: SIM118
        if name == "num_nodes":
            assert one[name] == other[name]
        else:
            assert one[name].dtype == other[name].dtype, name
            assert torch.equal(one[name], other[name]), name


def assert_equal_batches(one: Batch, other: Batch) -> None:
    assert type(one) is type(other)
    assert_equal_data(one, other)
    assert one.num_graphs == other.num_graphs
    assert one._store._num_nodes == other._store._num_nodes
    for mine, theirs in ((one._slice_dict, other._slice_dict), (one._inc_dict, other._inc_dict)):
        assert list(mine) == list(theirs)
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
