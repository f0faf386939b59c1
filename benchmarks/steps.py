"""Optimiser steps and evaluations of energies and forces, side by side with PyG's SchNet.

python benchmarks/steps.py --json steps.json

64 frames of alanine dipeptide (22 atoms), and 32 clusters of 64 atoms as dense as a peptide of that size; on a GPU
also 1024 frames.
"""

from collections.abc import Mapping, Sequence

from common import (
    BATCH_SIZE,
    CONTENDERS,
    TASKS,
    Contender,
    Row,
    check_agreement,
    compare,
    in_new_process,
    make_parser,
    parse_arguments,
    report,
    system,
)
from frames import Frame, dipeptides, peptides


def cases(small: bool, device: str) -> dict[str, Sequence[Frame]]:
    """Return the batches: name -> frames."""
    if small:
        return {"2 x 22 atoms": dipeptides()[:2]}
    every = len(dipeptides()) // BATCH_SIZE
    return {
        f"{BATCH_SIZE} x 22 atoms": dipeptides()[::every][:BATCH_SIZE],
        "32 x 64 atoms": peptides(32),
        **({"1024 x 22 atoms": dipeptides()[:1024]} if device == "cuda" else {}),
    }


def rows_of(contenders: Mapping[str, Contender], frames: Sequence[Frame], repeats: int, device: str) -> list[Row]:
    """Return the times of all contenders on one batch, a row for each contender and task."""
    batches = {name: contender.batch(frames) for name, contender in contenders.items()}
    rows = []
    for task in TASKS:
        tasks = {name: (getattr(contender, task), batches[name]) for name, contender in contenders.items()}
        figures = compare(tasks, repeats, device)
        rows += [{"task": task, "contender": name, **row} for name, row in figures.items()]
    return rows


def main() -> None:
    arguments = parse_arguments(make_parser(__doc__), repeats=21)
    device, started = arguments.device, system(arguments.device)
    rows: list[Row] = []
    differences: list[float] = []
    for case, frames in cases(arguments.small, device).items():
        contenders = {name: make(device) for name, make in CONTENDERS.items()}
        differences.append(check_agreement(contenders, frames))
        for row in rows_of(contenders, frames, arguments.repeats, device):
            make = CONTENDERS[row["contender"]]
            rows.append({"batch": case, **row, **in_new_process(make, frames, row["task"], device, arguments.threads)})
    report("Steps and evaluations", rows, arguments, started, difference_of_atomic_energies=max(differences))


if __name__ == "__main__":
    main()
