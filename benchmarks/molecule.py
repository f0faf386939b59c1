"""Energy and forces of one molecule, as in a step of molecular dynamics, side by side with PyG's SchNet.

python benchmarks/molecule.py --json molecule.json

Ours is given nothing but atoms and finds its neighbors within the time, and has charges and the full Coulomb energy.
PyG's has neither charges nor Coulomb energy, and is given the edges, found outside of its time.
"""

from collections.abc import Callable, Sequence

from common import (
    Contender,
    Ours,
    PyG,
    Row,
    check_agreement,
    compare,
    in_new_process,
    make_data,
    make_parser,
    parse_arguments,
    report,
    system,
)
from frames import Frame, cluster, dipeptides
from torch_geometric.data import Batch

SIZES = (22, 64, 500, 5000)
TASK = "evaluate"


class OursAlone(Ours):
    """Ours without a data set: positions, atomic numbers and charge."""

    def batch(self, frames: Sequence[Frame]) -> Batch:
        data = [make_data(frame) for frame in frames]
        return Batch.from_data_list(data).to(self.device)


CONTENDERS: dict[str, Callable[[str], Contender]] = {"ours": OursAlone, "PyG": PyG}


def main() -> None:
    arguments = parse_arguments(make_parser(__doc__), repeats=11)
    device, started = arguments.device, system(arguments.device)
    contenders = {name: make(device) for name, make in CONTENDERS.items()}
    rows: list[Row] = []
    differences: list[float] = []
    for size in SIZES[:2] if arguments.small else SIZES:
        frames = dipeptides()[:1] if size == 22 else [cluster(size)]
        differences.append(check_agreement(contenders, frames))
        tasks = {name: (getattr(contender, TASK), contender.batch(frames)) for name, contender in contenders.items()}
        for name, row in compare(tasks, arguments.repeats, device).items():
            alone = in_new_process(CONTENDERS[name], frames, TASK, device, arguments.threads)
            rows.append({"atoms": size, "contender": name, **row, **alone})
    report("One molecule", rows, arguments, started, difference_of_atomic_energies=max(differences))


if __name__ == "__main__":
    main()
