"""Whether each part of a data set has the labels that are needed of it."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data.labels import has_labels
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS


def check_labels(
    config: Config, summary: DatasetSummary, parts: Mapping[str, Tensor], models: Iterable[str]
) -> list[Finding]:
    """Look for parts without a single label of a field that loss or metrics need there.

    Returns:
        An error for the training and the validation part, without which there is no loss or no score, a warning for the
        test part.
    """
    losses = [model.loss for name, model in config.Modelhub.internal_FFs.items() if name in models]
    of_loss = {name: weight for loss in losses for fields in loss.values() for name, weight in fields.items()}
    shown = {name for fields in config.Metrics.values() for name in fields}
    needed = {"training": {name for name, weight in of_loss.items() if weight > 0}}
    needed |= {"validation": shown | set(of_loss), "test": shown}
    findings = []
    for part, names in needed.items():
        for name in sorted(names) if part in parts else []:
            has, weighted = has_labels(summary, name), ""
            if part != "test" and len(summary.weight):
                has, weighted = has & (summary.weight > 0), " and a weight above 0"
            if not has[parts[part].numpy()].any():
                text = f"No frame of the {part} part has '{name}' ({FIELDS[name].short_meaning}){weighted}."
                advice = f"Enlarge this part, change Splitter.seed, or take {name} out of loss and Metrics."
                error = None if part == "test" else DataError
                findings.append(Finding("part without labels", name, text, advice, error=error))
    return findings
