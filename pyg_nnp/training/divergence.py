"""The description of a batch whose loss is not finite."""

from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.functional.geometry import pair_distances


def describe_batch(frames: Tensor, batch: Batch) -> str:
    """Say which frames are in a batch, which has the largest force, and which the shortest distance.

    Args:
        frames: (G,) numbers of the frames in the data set.
        batch: these frames.
    """
    graph, numbers = batch.batch.cpu(), frames.tolist()
    text = f"Its frames are {', '.join(map(str, numbers))}."
    if "Fa" in batch:
        force = batch.Fa.norm(dim=1).cpu()
        atom = int(force.argmax())
        text += f" The largest force in the data is {float(force[atom]):.6g}, in frame {numbers[graph[atom]]}."
    if batch.edge_index.shape[1]:
        distances = pair_distances(batch.Ra, batch.edge_index).cpu()
        edge = int(distances.argmin())
        frame = numbers[graph[batch.edge_index[0, edge].cpu()]]
        text += f" The shortest distance is {float(distances[edge]):.6g}, in frame {frame}."
    return text
