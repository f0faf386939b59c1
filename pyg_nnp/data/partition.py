"""Parts of a data set that are not drawn frame by frame: by a file, and of groups of frames."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.runtime.files import digest

log = logging.getLogger(__name__)

_WHERE = "Trainer.Splitter.index_file"
_METHOD = "Trainer.Splitter.method"


def index_digest(path: str) -> str:
    """Return the digest of the content of a file with the frames of parts.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    try:
        return digest(Path(path))
    except OSError as error:
        raise ConfigError(f"{_WHERE}: {path} cannot be read: {error.strerror}.") from error


def parts_of_index(path: str, parts: Sequence[str], frames: Tensor) -> dict[str, Tensor]:
    """Read the frames of each part from a file.

    Args:
        path: a JSON file, part -> numbers of its frames in the data, counted from 0.
        parts: the parts that it must have; others are left out.
        frames: (n,) the frames that parts may have, in ascending order.

    Raises:
        ConfigError: it has another content, no frames for a part, frames that there are not, or one twice.
    """
    try:
        found = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ConfigError(f"{_WHERE}: {path} is no JSON file: {error}.") from error
    if not isinstance(found, dict) or not all(_are_numbers(numbers) for numbers in found.values()):
        raise ConfigError(f'{_WHERE}: {path} expects numbers of frames for each part: {{"training": [0, 2], ...}}.')
    chosen = {}
    for part in parts:
        if not found.get(part):
            has = ", ".join(found) or "nothing"
            near = did_you_mean(part, found)
            raise ConfigError(f"{_WHERE}: {path} has no frames for the part '{part}'.{near} It has: {has}.")
        # of Python's integers some are larger than those of tensors
        largest = int(frames.max())
        outside = [number for number in found[part] if not 0 <= number <= largest]
        numbers = torch.tensor([] if outside else found[part], dtype=torch.int64)
        outside = outside or numbers[~torch.isin(numbers, frames)].tolist()
        if outside:
            what = "are no frames to choose from: they are isolated atoms, or there are none with these numbers"
            raise ConfigError(f"{_WHERE}: {path}: part '{part}': {_shown(outside)} {what} (0 to {largest}).")
        chosen[part] = numbers
    together = torch.cat(list(chosen.values()))
    numbers, times = torch.unique(together, return_counts=True)
    if (times > 1).any():
        twice = _shown(numbers[times > 1].tolist())
        raise ConfigError(f"{_WHERE}: {path}: {twice} are given more than once; a frame is in one part.")
    if len(together) < len(frames):
        log.info("%s: %d of %d frames are in no part.", _WHERE, len(frames) - len(together), len(frames))
    return chosen


def parts_of_groups(
    counts: Mapping[str, int], frames: Tensor, groups: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw groups of frames for parts, until these have as many frames as they are to have, or some more.

    The groups come at random, each for the part that lacks most of what it is to have, as a share of it.

    Args:
        counts: part -> number of frames that it is to have.
        frames: (n,) frames.
        groups: (n,) the group of each.
        generator: draws the order of the groups.

    Raises:
        ConfigError: a part would be empty.
    """
    present, group, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    lacking, chosen = dict(counts), {part: list[int]() for part in counts}
    for number in torch.randperm(len(present), generator=generator).tolist():
        part = max(counts, key=lambda part: lacking[part] / counts[part])
        if lacking[part] > 0:
            lacking[part] -= int(sizes[number])
            chosen[part].append(number)
    for part, numbers in chosen.items():
        if not numbers:
            raise ConfigError(
                f"{_METHOD}: part '{part}' would be empty: there are {len(present)} groups of frames for {len(counts)} "
                "parts. Choose method: random, or leave a part out."
            )
    parts = {part: frames[torch.isin(group, torch.tensor(numbers))] for part, numbers in chosen.items()}
    text = ", ".join(f"{part}: {len(parts[part])} frames of {len(chosen[part])}" for part in parts)
    log.info("%s: %d groups of frames. %s.", _METHOD, len(present), text)
    return parts


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int for value in values)


def _shown(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"frames {', '.join(map(str, numbers[:5]))}{more}"
