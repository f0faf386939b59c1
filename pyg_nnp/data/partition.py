"""Parts of a data set that are not drawn frame by frame: by a file, and of groups of frames."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyg_nnp.data.source import FileStart
from pyg_nnp.data.store.layout import StoreInfo, open_store, read_families
from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.runtime.files import digest

if TYPE_CHECKING:
    from pyg_nnp.config import Splitter

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
            why = f"isolated atoms are in no part, and the numbers of frames go from 0 to {largest}"
            raise ConfigError(f"{_WHERE}: {path}: part '{part}' cannot have {_shown(outside)}: {why}.")
        chosen[part] = numbers
    together = torch.cat(list(chosen.values()))
    numbers, times = torch.unique(together, return_counts=True)
    if (times > 1).any():
        twice = _shown(numbers[times > 1].tolist())
        raise ConfigError(f"{_WHERE}: {path}: given more than once: {twice}. A frame is in one part.")
    if len(together) < len(frames):
        log.info("%s: %d of %d frames are in no part.", _WHERE, len(frames) - len(together), len(frames))
    return chosen


def stored_groups(method: str, folder: Path, info: StoreInfo, frames: Tensor) -> Tensor:
    """Return (n,) a number for the ``group``, or for the file (``files``), of some frames of a store, (n,).

    ``group`` is what ``Trainer.Splitter.group`` had named when the store was made.
    """
    if method == "files":
        return torch.searchsorted(torch.tensor([start.first for start in info.files]), frames, right=True) - 1
    with open_store(folder) as (_, file):
        return read_families(file, info)[frames]


def files_of_parts(splitter: "Splitter", files: Sequence[FileStart]) -> dict[str, list[int]]:
    """Return the numbers of the files of each part, which are named by paths and patterns.

    Raises:
        ConfigError: there is one file, one that there is not, or one in two parts.
    """
    if len(files) < 2:
        raise ConfigError(f"{_METHOD}: files: there is one data file alone. Choose another method, such as random.")
    found: dict[str, list[int]] = {}
    taken: dict[int, str] = {}
    for part in splitter.parts:
        found[part] = []
        for entry in getattr(splitter, part):
            chosen = [number for number, file in enumerate(files) if DataPath.of(entry).has(file.name)]
            if not chosen:
                near = did_you_mean(entry, [file.name for file in files])
                raise ConfigError(
                    f"Trainer.Splitter.{part}: '{entry}' is none of the files of Datahub.data_path.{near}"
                )
            for number in chosen:
                if taken.setdefault(number, part) != part:
                    name = files[number].name
                    raise ConfigError(f"Trainer.Splitter: {name} is in the parts {taken[number]} and {part}.")
            found[part] += [number for number in chosen if number not in found[part]]
    if unused := [file.name for number, file in enumerate(files) if number not in taken]:
        log.info("%s: files: in no part: %s.", _METHOD, DataPath.of(unused))
    return found


def parts_of_files(numbers: Mapping[str, Sequence[int]], frames: Tensor, files: Tensor) -> dict[str, Tensor]:
    """Return the frames of each part, by the numbers of its files.

    Args:
        numbers: of the files of each part.
        frames: (n,) the frames that parts may have.
        files: (n,) the number of the file of each.

    Raises:
        ConfigError: a part would be empty.
    """
    parts = {part: frames[torch.isin(files, torch.tensor(of_part))] for part, of_part in numbers.items()}
    for part, chosen in parts.items():
        if not len(chosen):
            raise ConfigError(f"Trainer.Splitter.{part}: its files have isolated atoms alone, so it would be empty.")
    return parts


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


def with_all_elements(order: Tensor, part: slice, elements: Tensor) -> Tensor:
    """Exchange frames so that a part has all elements.

    Each element that the part lacks comes with the first frame that has it, for the last frame of the part whose
    elements others in it have, too. Where there is no such frame, the element stays where it is.

    Args:
        order: (n,) frames in the order drawn.
        part: the frames of the part, in this order.
        elements: (n, K) whether each of these frames has an element.

    Returns:
        (n,) the frames, some of which have changed places.
    """
    order, elements, exchanged = order.clone(), elements.clone(), list[int]()
    for k in (elements.any(0) & ~elements[part].any(0)).nonzero().flatten().tolist():
        inside = elements[part]
        if inside[:, k].any():  # it came with an element before
            continue
        spare = (~inside | (inside.sum(0) > 1)).all(1).nonzero()  # (s, 1)
        if not len(spare):
            continue
        there, here = int(elements[:, k].int().argmax()), part.start + int(spare[-1])
        exchanged.append(int(order[there]))
        for rows in (order, elements):
            rows[[here, there]] = rows[[there, here]]
    if exchanged:
        text = "Trainer.Splitter: moved into the training part, which would lack elements otherwise: %s."
        log.info(text, _shown(sorted(exchanged)))
    return order


def _shown(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"{'frame' if len(numbers) == 1 else 'frames'} {', '.join(map(str, numbers[:5]))}{more}"
