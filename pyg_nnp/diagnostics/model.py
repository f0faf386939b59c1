"""Whether a model fits the data: its elements, its cutoff, and what it predicts."""

import torch
from ase.data import chemical_symbols
from torch_geometric.data import Batch

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import ConfigError, FieldError
from pyg_nnp.fields import INPUTS
from pyg_nnp.functional.difference import difference
from pyg_nnp.functional.geometry import pair_distances
from pyg_nnp.layers import RangeSeparation
from pyg_nnp.potential.potential import Potential


def check_largest_element(
    config: Config, name: str, potential: Potential, summary: DatasetSummary
) -> tuple[Finding, ...]:
    """Return an error if the data have elements beyond a model's ``max_Za``."""
    limits = [entry["params"]["max_Za"] for entry in potential.spec["layers"] if "max_Za" in entry["params"]]
    largest = int(summary.elements.max())
    if not limits or largest <= min(limits):
        return ()
    text = (
        f"{config.source}: Modelhub.{name}.build_params.max_Za: {min(limits)}, but the data has "
        f"{chemical_symbols[largest]}."
    )
    return (Finding("largest element", "Za", text, f"Set it to at least {largest}.", error=ConfigError),)


def check_cutoff(config: Config, name: str, potential: Potential, sample: Batch) -> tuple[Finding, ...]:
    """Return an error if nine of ten atoms have no other within ``cutoff_sr``, although they are not alone.

    Args:
        config: the configuration.
        name: of the model.
        potential: the model.
        sample: some frames.
    """
    distances = pair_distances(sample.Ra.double(), sample.edge_index)
    nearest = distances.new_full((len(sample.Za),), torch.inf)
    nearest = nearest.scatter_reduce(0, sample.edge_index[1], distances, "amin")
    nearest = nearest[nearest.isfinite()]
    for layer in potential.layers:
        if isinstance(layer, RangeSeparation) and len(nearest) and float(nearest.quantile(0.1)) >= layer.cutoff_sr:
            shortest = float(nearest.min())
            text = (
                f"{config.source}: Modelhub.{name}.build_params.cutoff_sr: nine of ten atoms have no other "
                f"within {layer.cutoff_sr}; the shortest distance is {shortest:.3g} in the unit of the data."
            )
            advice, numbers = "Choose it larger, commonly 5 Å.", {"shortest distance": shortest}
            return (Finding("short cutoff", "Ra", text, advice, numbers=numbers, error=ConfigError),)
    return ()


def check_prediction(config: Config, name: str, potential: Potential, dataset: MoleculeDataset) -> None:
    """Let a potential predict two frames, so that layers that do not fit together show before training.

    Errors of users' own layers pass unchanged, for their traceback.

    Raises:
        FieldError: the layers do not fit together, change their input, or predict fields in another shape.
    """
    batch = dataset.batch(torch.arange(min(2, len(dataset))))
    given = {field: batch[field].clone() for field in INPUTS}
    place = f"{config.source}: Modelhub.{name}.layers"
    try:
        predicted = potential.eval()(batch)
        for weights in (config.Modelhub.internal_FFs[name].loss, config.Metrics):
            for field in {field for of_field in weights.values() for field in of_field}:
                difference(predicted, batch, field)
    except FieldError as error:
        raise FieldError(f"{place}: {error}") from error
    except RuntimeError as error:
        if any(not type(layer).__module__.startswith("pyg_nnp.") for layer in potential.layers):
            raise
        raise FieldError(
            f"{place}: the layers do not fit together: {error}. "
            "Options that layers share, such as num_rbf and dim_embedding, have one value; give them in build_params."
        ) from error
    for field, value in given.items():
        if not torch.equal(batch[field], value):
            raise FieldError(f"{place}: one of the layers changes '{field}' in place. Let it return a new tensor.")
