"""Processes that make the batches of a data set ahead of a training, from its first epoch to its last."""

import atexit
import signal
from collections.abc import Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any
from weakref import finalize

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import Batch

from pyg_nnp.errors import UserError

if TYPE_CHECKING:
    from pyg_nnp.data.dataset import MoleculeDataset


class LoaderProcesses:
    """Processes that make batches ahead, and wait for the next call when all are made.

    They end with this object, or with :meth:`close`. Iterators that are in use at the same time have different
    processes.
    """

    def __init__(self) -> None:
        self._idle: list[_Loader] = []
        self._made_with: tuple[int, Any] | None = None

    def batches(self, source: "MoleculeDataset", parts: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the batches of ``parts``, (G,) frames each, in their order.

        ``source`` is the same data set at each call; the processes have a copy of it, and its errors are raised here.
        """
        made_with = (source.num_workers, source.transform)
        if made_with != self._made_with:
            self.close()
            self._made_with = made_with
        # a copy, since processes of a data set that refer to it would keep it, and so themselves, alive
        loader = self._idle.pop() if self._idle else _Loader(copy(source), made_with)
        try:
            for made in loader.batches(parts):
                if isinstance(made, Exception):
                    try:
                        raise made
                    finally:
                        del made  # through this frame it would refer to itself, and keep all of this alive
                yield made
        except (GeneratorExit, UserError, OSError):
            self._take_back(loader)
            raise
        # not after any other exception, such as that of a signal or of a process that was killed
        self._take_back(loader)

    def close(self) -> None:
        """End the processes; those of an iterator that is in use end when it does."""
        self._made_with = None
        while self._idle:
            self._idle.pop().close()

    def _take_back(self, loader: "_Loader") -> None:
        if loader.made_with == self._made_with:
            self._idle.append(loader)
        else:
            loader.close()


class _Loader:
    """A PyTorch ``DataLoader`` with persistent workers that gets other frames at each call."""

    def __init__(self, source: "MoleculeDataset", made_with: tuple[int, Any]) -> None:
        self.made_with = made_with
        self._parts: list[Tensor] = []
        # a generator of its own: otherwise the global one would be drawn from
        self._loader = DataLoader(
            _Parts(source),
            sampler=self._parts,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=source.num_workers,
            generator=torch.Generator(),
            worker_init_fn=_leave_signals_to_the_parent,
            persistent_workers=True,
        )
        # The finalizer refers to the DataLoader, so that its queues still work where this object is part of a cycle.
        # At exit it comes before Python waits for the processes, which ignore SIGTERM.
        self.close = finalize(self, _end_processes, self._loader)
        atexit.register(self.close)

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Batch | Exception]:
        """Yield batches, or what went wrong; the rest of an iteration that was not finished is dropped."""
        self._parts[:] = parts
        return iter(self._loader)


def _end_processes(loader: "DataLoader[Batch | Exception]") -> None:
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()  # type: ignore[attr-defined]
        # PyTorch waits 5 s, then sends SIGTERM, which they ignore, and Python would wait for them without end
        for process in loader._iterator._workers:  # type: ignore[attr-defined]
            process.kill()


class _Parts(Dataset[Batch | Exception]):
    def __init__(self, source: "MoleculeDataset") -> None:
        self._source = source

    def __getitem__(self, part: Tensor) -> Batch | Exception:
        try:
            return self._source.batch(part)
        except (UserError, OSError) as error:
            # raised here, the process's traceback would become part of its message
            return error


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which reach all processes at once: the parent saves first, then ends this one."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _unchanged(made: Batch | Exception) -> Batch | Exception:
    return made
