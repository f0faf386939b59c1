"""Cost against size: frames in a batch, and atoms of one frame; steps and evaluations, ours and PyG's SchNet.

python benchmarks/scaling.py --json scaling.json --plot scaling.png
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
from common import CONTENDERS, TASKS, Row, check_agreement, make_parser, parse_arguments, report, system
from frames import Frame, cluster, dipeptides
from matplotlib import pyplot
from steps import rows_of

FRAMES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ATOMS = (22, 44, 88, 176, 352, 704, 1408, 2816)
SWEEPS = ("frames of 22 atoms", "atoms of one frame")


def batches(small: bool) -> Iterator[tuple[str, int, Sequence[Frame]]]:
    """Yield what grows, its size, and the frames."""
    count = 2 if small else None
    for size in FRAMES[:count]:
        yield SWEEPS[0], size, dipeptides()[:size]
    for size in ATOMS[:count]:
        yield SWEEPS[1], size, dipeptides()[:1] if size == 22 else [cluster(size)]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw medians and quartiles against size, both logarithmic."""
    matplotlib.use("agg")
    figure, axes = pyplot.subplots(1, len(SWEEPS), figsize=(11, 4.5), sharey=True, layout="constrained")
    names = list(dict.fromkeys(row["contender"] for row in rows))
    for axis, sweep in zip(axes, SWEEPS, strict=True):
        for task, marker in zip(TASKS, ("o-", "s--"), strict=True):
            for number, name in enumerate(names):
                line = [row for row in rows if (row["sweep"], row["task"], row["contender"]) == (sweep, task, name)]
                size, median, low, high = (
                    [row[key] for row in line] for key in ("size", "median_ms", "q1_ms", "q3_ms")
                )
                axis.loglog(size, median, marker, color=f"C{number}", label=f"{name}, {task}", markersize=4)
                axis.fill_between(size, low, high, color=f"C{number}", alpha=0.2, linewidth=0)
        axis.set_xlabel(sweep)
        axis.grid(which="both", alpha=0.2)
    axes[0].set_ylabel("time [ms]")
    axes[0].legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a figure, PNG or SVG by its name")
    arguments = parse_arguments(parser, repeats=7)
    started = system(arguments.device)
    rows: list[Row] = []
    differences: list[float] = []
    for sweep, size, frames in batches(arguments.small):
        contenders = {name: make(arguments.device) for name, make in CONTENDERS.items()}
        differences.append(check_agreement(contenders, frames))
        atoms = sum(frame["number_of_atoms"] for frame in frames)
        rows += [
            {"sweep": sweep, "size": size, **row, "us_per_atom": 1e3 * row["median_ms"] / atoms}
            for row in rows_of(contenders, frames, arguments.repeats, arguments.device)
        ]
    report("Cost against size", rows, arguments, started, difference_of_atomic_energies=max(differences))
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
