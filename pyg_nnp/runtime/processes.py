"""Several processes that work as one, started by ``torchrun`` or ``srun`` and connected by ``torch.distributed``.

Outside of :func:`joined` there is one process, and everything here returns what it is given.
"""

import atexit
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pyg_nnp.errors import ProcessError
from pyg_nnp.runtime.launch import Launch
from pyg_nnp.runtime.peers import Watch, connect
from pyg_nnp.runtime.signals import Stopped

T = TypeVar("T")
R = TypeVar("R")

_POLL = timedelta(seconds=0.2)
_NEVER = timedelta(days=365)  # the watch ends what waits in vain, whatever it waits for
_USER_ERROR = 2


class _Group:
    """The processes that this one is among."""

    def __init__(self, launch: Launch, watch: Watch) -> None:
        self.launch, self.watch = launch, watch


_group: _Group | None = None


@contextmanager
def joined(launch: Launch) -> Iterator[None]:
    """Be one of several processes, which all end when one of them does.

    An error is raised in the first process that has one; the others end with the same exit status, and without a word.

    Raises:
        ProcessError: another process was lost, or they cannot be connected.
        SystemExit: another process failed.
    """
    global _group
    serves = launch.number == 0 and not launch.has_store
    try:
        store = connect(launch, serves)
        watch = Watch(launch, serves)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        place = f"{launch.address}:{launch.port}"
        raise ProcessError(f"the {launch.count} processes cannot be connected at {place}: {reason}") from error
    watch.start()
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(launch.local_number % torch.cuda.device_count())
        if missing := watch.wait_for_start():
            raise ProcessError(f"of {launch.count} processes these have not started: {', '.join(map(str, missing))}.")
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=launch.number, world_size=launch.count, timeout=_NEVER)
        _group = _Group(launch, watch)
        yield
        wait_for_all()
    except BaseException as error:
        try:
            _end(launch, watch, error)
        except Stopped:
            # the watch sent it in the instant before it was told that this process ends; it sends no other
            _end(launch, watch, error)
        raise
    finally:
        _group = None
        watch.stop()
    dist.destroy_process_group()


def _end(launch: Launch, watch: Watch, error: BaseException) -> None:
    """Let all processes end, and leave the message to the one that failed first."""
    # the launcher sends one to all when one has ended
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status = error.exit_status if isinstance(error, Stopped) else _USER_ERROR
    is_first = watch.fail(status, f"{type(error).__name__}: {error}")
    if torch.cuda.is_available():
        # operations that wait for a lost process would keep this one from ending
        atexit.register(_leave, status)
    if not is_first:
        raise SystemExit(watch.failure.status if watch.failure else status) from error
    lost = watch.lost()
    if lost and isinstance(error, Stopped | _Disconnected):
        names = " and ".join(map(str, lost))
        raise ProcessError(
            f"process {names} of {launch.count} was lost: killed, perhaps since memory was used up, or with its "
            "machine. All others have ended, too. A training goes on with --resume added to the same command."
        ) from error
    if isinstance(error, _Disconnected):
        raise ProcessError(f"the connection to the other processes was lost: {error}") from error


def _leave(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class _Disconnected(KeyboardInterrupt):
    """Another process is gone; what has to be saved is saved, as after Ctrl-C."""


def count() -> int:
    """Return the number of processes that work together."""
    return 1 if _group is None else _group.launch.count


def number() -> int:
    """Return the number of this process, from 0 on."""
    return 0 if _group is None else _group.launch.number


def local_count() -> int:
    """Return how many of the processes are on this machine."""
    return 1 if _group is None else _group.launch.local_count


def cuda_device() -> torch.device:
    """Return the CUDA device of this process."""
    return torch.device("cuda") if _group is None else torch.device("cuda", torch.cuda.current_device())


def total(values: Tensor) -> Tensor:
    """Return the sum over all processes of tensors of the same shape, with the same bits in each of them."""
    if _group is None:
        return values
    values = values.detach().clone()
    _finish(dist.all_reduce(values, async_op=True), values.is_cuda, _group.watch)
    return values


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return total(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0]


def differentiable_total(values: Tensor) -> Tensor:
    """Return :func:`total`, through which each process gets the gradient with respect to its own values.

    The gradients of a function of totals, added up over the processes, are those of the function.
    """
    return cast(Tensor, _Total.apply(values))  # type: ignore[no-untyped-call]


def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Let tensors have the values that they have in the first process."""
    if _group is not None:
        for tensor in tensors:
            values = tensor.detach()
            _finish(dist.broadcast(values, 0, async_op=True), values.is_cuda, _group.watch)


def number_of_first(value: float) -> float:
    """Return the number that the first process gives, such as the time on its clock."""
    return value if _group is None else float(total(torch.tensor(value if number() == 0 else 0.0, dtype=torch.float64)))


def gather(value: T) -> list[T]:
    """Return what each process gives, in their order, in all of them: numbers, texts, CPU tensors, containers."""
    if _group is None:
        return [value]
    file = io.BytesIO()
    torch.save(value, file)
    content = torch.frombuffer(bytearray(file.getbuffer()), dtype=torch.uint8)
    sizes = torch.zeros(count(), dtype=torch.int64)
    sizes[number()] = len(content)
    ends = total(sizes).cumsum(0).tolist()
    everything = torch.zeros(ends[-1], dtype=torch.uint8)
    everything[ends[number()] - len(content) : ends[number()]] = content
    everything = total(everything)
    pieces = (io.BytesIO(piece.numpy().tobytes()) for piece in everything.tensor_split(ends[:-1]))
    # no more than tensors and such: what comes from a network is not executed
    return [torch.load(piece, weights_only=True) for piece in pieces]


def once(function: Callable[[], T]) -> T:
    """Return in all processes what a function returns, which the first one alone calls, as if it were the only one."""
    global _group
    group, value = _group, None
    if group is None or group.launch.number == 0:
        _group = None
        try:
            value = function()
        finally:
            _group = group
    return cast(T, gather(value)[0])


def wait_for_all() -> None:
    """Wait until all processes have come here."""
    total(torch.zeros(()))


def in_turn(items: Iterable[T], function: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Yield each item and what a function returns for it, in all processes, which take turns to compute it.

    All of them have the same items; what the function returns has tensors on the CPU, if any.
    """
    if _group is None:
        for item in items:
            yield item, function(item)
        return
    rest = iter(items)
    while taken := list(islice(rest, count())):
        result = function(taken[number()]) if number() < len(taken) else None
        yield from zip(taken, cast(list[R], gather(result)), strict=False)


def _finish(work: Any, is_cuda: bool, watch: Watch) -> None:
    """Wait for an operation; signals are answered meanwhile, and the end of other processes is noticed."""
    while True:
        has_ended = work.is_completed()
        try:
            if is_cuda:
                # whoever waits for the device cannot be stopped
                if has_ended:
                    work.wait()
                    return
                time.sleep(1e-5)
            else:
                work.wait(_POLL)
                return
        except RuntimeError as error:
            # else it took too long, and may have ended just now
            if has_ended:
                raise _Disconnected(str(error)) from error
        if watch.failure is not None:
            raise Stopped(signal.SIGTERM)
