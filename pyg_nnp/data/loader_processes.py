"""Processes that make the batches of a data set ahead of a training, from its first epoch to its last."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch._C import _remove_worker_pids
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from torch_geometric.data import Batch

from pyg_nnp.errors import UserError
from pyg_nnp.runtime.signals import STOPPING, deferred

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


class _Loader(DataLoader[Batch | Exception]):
    """A ``DataLoader`` with persistent workers that gets other frames at each call."""

    def __init__(self, source: "MoleculeDataset", made_with: tuple[int, Any]) -> None:
        self.made_with = made_with
        # arrays, which are sent as they are: a thread hands over tensors, and reports a process that was killed then
        self._parts: list[np.ndarray] = []
        # a generator of its own: otherwise the global one would be drawn from
        super().__init__(
            _Parts(source),
            sampler=self._parts,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=source.num_workers,
            generator=torch.Generator(),
            worker_init_fn=_depend_on_the_parent,
            persistent_workers=True,
        )

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Batch | Exception]:
        """Yield batches, or what went wrong; the rest of an iteration that was not finished is dropped."""
        self._parts[:] = [part.numpy() for part in parts]
        return iter(self)

    def close(self) -> None:
        """End the processes."""
        if self._iterator is not None:
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]

    def _get_iterator(self) -> "_Iterator":
        self.check_worker_number_rationality()
        return _Iterator(self)


class _Iterator(_MultiProcessingDataLoaderIter):
    """PyTorch's iterator of a ``DataLoader``, with processes that can be ended at any time, also while they start.

    PyTorch's own waits up to 10 s for each process, then leaves those that ignore SIGTERM to Python's end, which waits
    for them without end; so it does with those that were started before a signal came, or before one failed to start.
    """

    _workers: Any = ()
    _index_queues: Any = ()
    _end: Finalize | None = None

    def __init__(self, loader: _Loader) -> None:
        # A signal is answered when all that was started is known. It is blocked, too: a process that is being started
        # would answer it as PyTorch or the parent do.
        with deferred():
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
            try:
                super().__init__(loader)
            finally:
                # before Python waits for them at its end, and not by a fork of this process
                self._end = Finalize(None, _kill, [id(self), self._workers], exitpriority=0)
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _shutdown_workers(self) -> None:
        """End the processes; called when this object is freed, too."""
        with deferred():
            if self._end is not None:
                self._end()
            for queue in self._index_queues:
                queue.close()


def _kill(iterator: int, processes: Iterable[BaseProcess]) -> None:
    """Kill the processes of an iterator; what they do is needed no more, and nothing of it is half written."""
    with deferred():
        with suppress(ValueError):  # it is not known before all have started
            # or PyTorch would raise an error that they were killed
            _remove_worker_pids(iterator)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


class _Parts(Dataset[Batch | Exception]):
    def __init__(self, source: "MoleculeDataset") -> None:
        self._source = source

    def __getitem__(self, part: np.ndarray) -> Batch | Exception:
        try:
            return self._source.batch(torch.from_numpy(part))
        except (UserError, OSError) as error:
            # raised here, the process's traceback would become part of its message
            return error


def _depend_on_the_parent(worker: int) -> None:
    """Leave signals to the parent, which saves first and then ends this process, and end when it was killed."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    sys.excepthook = _report
    Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    # PyTorch looks every 5 s, and never ends a process whose parent was killed while it started
    cast(BaseProcess, multiprocessing.parent_process()).join()
    os._exit(1)


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    # of the thread that hands tensors over: the parent was stopped while it took one
    if not isinstance(error, EOFError | ConnectionError):
        sys.__excepthook__(kind, error, traceback)


def _unchanged(made: Batch | Exception) -> Batch | Exception:
    return made
