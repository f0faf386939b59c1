"""The split of a data set into parts."""

import hashlib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pyg_nnp.data.partition import (
    files_of_parts,
    index_digest,
    parts_of_files,
    parts_of_groups,
    parts_of_index,
    with_all_elements,
)
from pyg_nnp.data.source import FileStart
from pyg_nnp.errors import ConfigError
from pyg_nnp.runtime.files import locked_folder, stamp, write_durably

if TYPE_CHECKING:
    from pyg_nnp.config import Config, Splitter
    from pyg_nnp.data.dataset import MoleculeDataset

LAYOUT = 2
_WHERE = "Trainer.Splitter.ratios"
_MOST_LIKE_SHARES = 100
"""What whole numbers that are meant as shares add up to at most: percentages do to 100, 8 : 1 : 1 to 10."""

log = logging.getLogger(__name__)


def split_dataset(
    splitter: "Splitter",
    frames: int | Tensor,
    store_hash: str,
    folder: Path,
    groups: Callable[[str], Tensor] | None = None,
    files: Sequence[FileStart] = (),
    elements: Callable[[], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Choose the parts of a data set, or load them as they were saved.

    Parts are drawn from ``frames``, (n,), or from that many.

    Splits are saved in the folder of the store; the saved split of another store, by its hash, is never used.

    Args:
        splitter: how.
        frames: to choose from.
        store_hash: of the store.
        folder: of the store.
        groups: :meth:`pyg_nnp.data.MoleculeDataset.groups` of the store, for methods that take groups of frames.
        files: the data files, for the method that takes these.
        elements: returns (len(dataset), K) whether each frame of the store has an element; where it is given, the
            training part of a random split has all elements.

    Returns:
        Part -> (n,) int64 frames in the order drawn; no frame is in two parts.

    Raises:
        ConfigError: if a part would be empty, or the parts need more frames than there are, or those of ``index_file``
            or the files of the parts are not right.
    """
    frames = torch.arange(frames) if isinstance(frames, int) else frames
    num_frames, counts = len(frames), dict[str, int]()
    # everything that a split depends on
    covered: dict[str, Any] = {name: getattr(splitter, name) for name in ("method", "seed", "parts", "ratios")}
    covered |= {"layout": LAYOUT, "num_frames": num_frames, "store": store_hash}
    if splitter.method == "files":
        covered["files"] = files_of_parts(splitter, files)
    elif splitter.index_file is not None:
        covered["index"] = index_digest(splitter.index_file)
    else:
        counts = count_frames(splitter.parts, splitter.ratios, num_frames)
        _report_left_out(splitter.ratios, counts, num_frames)
    description = json.dumps(covered, sort_keys=True)
    key = hashlib.sha256(description.encode()).hexdigest()[:16]
    path = Path(folder) / f"split_{key}.safetensors"
    # groups have the numbers of frames that they have
    known = counts if splitter.method in ("random", "order") else dict.fromkeys(splitter.parts)
    if splitter.preload and path.exists():
        saved = _load(path, description, known, frames)
        if saved is not None:
            log.info("split loaded from %s", path)
            return saved
    parts = _chosen(splitter, counts, frames, groups, covered.get("files", {}), elements)
    if splitter.save:
        with locked_folder(path.parent):
            write_durably(path, [save(parts, metadata={"split": _stamp(description, parts)})])
        log.info("split saved to %s", path)
    return parts


def split_of(config: "Config", dataset: "MoleculeDataset") -> dict[str, Tensor]:
    """Return the parts of the data set of a configuration, as :func:`split_dataset` does."""
    splitter, files = config.Trainer.Splitter, dataset.source.starts
    return split_dataset(
        splitter,
        dataset.molecules,
        dataset.hash,
        dataset.folder,
        dataset.groups,
        files,
        lambda: torch.from_numpy(dataset.summary.counts > 0),
    )


def _chosen(
    splitter: "Splitter",
    counts: Mapping[str, int],
    frames: Tensor,
    groups: Callable[[str], Tensor] | None,
    files: Mapping[str, Sequence[int]],
    elements: Callable[[], Tensor] | None,
) -> dict[str, Tensor]:
    if splitter.index_file is not None:
        return parts_of_index(splitter.index_file, splitter.parts, frames)
    generator = torch.Generator().manual_seed(splitter.seed)
    if splitter.method in ("formula", "group", "files"):
        if groups is None:
            raise ConfigError(f"Trainer.Splitter.method: {splitter.method} takes frames in groups. Give these, too.")
        of_frames = groups(splitter.method)[frames]
        if splitter.method == "files":
            return parts_of_files(files, frames, of_frames)
        return parts_of_groups(counts, frames, of_frames, generator)
    order = frames if splitter.method == "order" else frames[torch.randperm(len(frames), generator=generator)]
    if splitter.method == "random" and elements is not None and "training" in counts:
        first = sum(list(counts.values())[: list(counts).index("training")])
        order = with_all_elements(order, slice(first, first + counts["training"]), elements()[order])
    drawn = torch.split(order[: sum(counts.values())], list(counts.values()))
    return {part: chosen.clone() for part, chosen in zip(counts, drawn, strict=True)}


def _report_left_out(ratios: Sequence[float | int | None], counts: Mapping[str, int], num_frames: int) -> None:
    """Say how many frames are in no part, and warn where whole numbers seem to be meant as shares."""
    total = sum(counts.values())
    if total == num_frames:
        return
    left_out = f"{_WHERE}: {num_frames - total} of {num_frames} frames are in no part"
    whole = [ratio for ratio in ratios if isinstance(ratio, int)]
    if len(whole) < len(ratios) or total > _MOST_LIKE_SHARES:
        log.info("%s.", left_out)
        return
    shares = ", ".join(f"{ratio / total:.4g}" for ratio in whole)
    log.warning(
        "%s: whole numbers are numbers of frames (%s). For shares write [%s]; null gives a part all that is left.",
        left_out,
        ", ".join(f"{part}: {count}" for part, count in counts.items()),
        shares,
    )


def count_frames(parts: list[str], ratios: list[float | int | None], num_frames: int) -> dict[str, int]:
    """Turn ratios into numbers of frames, with the errors of :func:`split_dataset`.

    Floats are shares of all frames, rounded by largest remainder so that shares that add up to 1 use every frame.
    Integers are counts. One None or -1 takes the rest.
    """
    if len(parts) != len(ratios):
        raise ConfigError(f"{_WHERE}: there are {len(ratios)} ratios for {len(parts)} parts.")
    ratio_of = dict(zip(parts, ratios, strict=True))
    rest = [part for part, ratio in ratio_of.items() if ratio is None or ratio == -1]
    # through its text, 0.1 is one tenth exactly, and 0.7 + 0.1 + 0.2 is 1
    shares = {p: Fraction(repr(ratio)) for p, ratio in ratio_of.items() if isinstance(ratio, float) and p not in rest}
    if len(rest) > 1:
        raise ConfigError(f"{_WHERE}: only one part can take the rest, but {' and '.join(rest)} ask for it.")
    rounded = _round_shares(shares, num_frames)
    counts = {p: rounded.get(p, 0 if p in rest else int(ratio or 0)) for p, ratio in ratio_of.items()}
    total = sum(counts.values())
    if total > num_frames or sum(shares.values()) > Fraction("1.000000001"):
        asked = ", ".join(f"{part}: {ratio}" for part, ratio in ratio_of.items())
        raise ConfigError(f"{_WHERE}: the parts need more than the {num_frames} frames there are ({asked}).")
    for part in rest:
        counts[part] = num_frames - total
    for part, ratio in ratio_of.items():
        if counts[part] < 1:
            raise ConfigError(f"{_WHERE}: part '{part}' ({ratio}) would be empty: there are {num_frames} frames.")
    return counts


def _round_shares(shares: dict[str, Fraction], num_frames: int) -> dict[str, int]:
    exact = {part: share * num_frames for part, share in shares.items()}
    counts = {part: math.floor(number) for part, number in exact.items()}
    left_over = math.floor(sum(exact.values()) + Fraction(1, 2)) - sum(counts.values())
    # sorted() keeps the order of equals, so the earlier part wins
    for part in sorted(exact, key=lambda part: counts[part] - exact[part])[:left_over]:
        counts[part] += 1
    return counts


def _load(path: Path, description: str, counts: Mapping[str, int | None], frames: Tensor) -> dict[str, Tensor] | None:
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("split")
            parts = {part: file.get_tensor(part) for part in counts}
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s); the split is drawn again", path, error)
        return None
    if found != _stamp(description, parts) or not _is_valid(parts, counts, frames):
        log.warning("%s does not hold the split it should; the split is drawn again", path)
        return None
    return parts


def _stamp(description: str, parts: dict[str, Tensor]) -> str:
    return stamp(description, (frames.numpy().tobytes() for frames in parts.values()))


def _is_valid(parts: dict[str, Tensor], counts: Mapping[str, int | None], frames: Tensor) -> bool:
    for part, chosen in parts.items():
        expected = counts[part] or max(chosen.numel(), 1)
        if chosen.dtype != torch.int64 or chosen.shape != (expected,):
            return False
    drawn = torch.cat(list(parts.values()))
    if int(drawn.min()) < 0 or int(drawn.max()) > int(frames.max()):
        return False
    may_be, is_drawn = torch.zeros(2, int(frames.max()) + 1, dtype=torch.bool)
    may_be[frames], is_drawn[drawn] = True, True
    return bool(may_be[drawn].all()) and int(is_drawn.sum()) == len(drawn)
