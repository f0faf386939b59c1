# mypy: allow-untyped-calls
"""A potential for i-PI, and whatever else speaks the protocol of its sockets, by ASE's client."""

import logging
import time
from contextlib import suppress
from socket import SHUT_WR
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.socketio import IPIProtocol, SocketClient, SocketClosed
from numpy.typing import NDArray

from pyg_nnp.errors import DataError, UserError
from pyg_nnp.runtime.logs import NOTICE

log = logging.getLogger(__name__)

_POLL, _LEAVE = 0.2, 2.0  # seconds
_MESSAGES = ("STATUS", "INIT", "POSDATA", "GETFORCE", "EXIT")


class ServerError(UserError):
    """A server that does not answer, or is gone."""


class _Protocol(IPIProtocol):
    """Messages of a server, whose end without a word is an error: it was killed.

    Args:
        of: the socket.
        num_atoms: of the structure.
        is_virial_known: whether there is a virial to send, or NaN in its place.
    """

    def __init__(self, of: Any, num_atoms: int, *, is_virial_known: bool) -> None:
        super().__init__(of)
        self.num_atoms, self.is_virial_known = num_atoms, is_virial_known

    def recvposdata(self) -> tuple[NDArray[Any], ...]:
        """Return a cell, its inverse, and positions, (3, 3), (3, 3) and (A, 3)."""
        try:
            cell, inverse, positions = super().recvposdata()
        except (ValueError, MemoryError) as error:
            raise ConnectionError("it says no number of atoms") from error
        if len(positions) != self.num_atoms:
            count = len(positions)
            raise DataError(f"the server's structure has {count} atoms, this one {self.num_atoms}. Give both the same.")
        return cell, inverse, positions

    def sendforce(self, energy: float, forces: NDArray[Any], virial: NDArray[Any], *more: Any) -> None:
        """Send what was computed, (A, 3) forces and the (3, 3) virial."""
        super().sendforce(energy, forces, virial if self.is_virial_known else np.full((3, 3), np.nan), *more)

    def recvmsg(self) -> str:
        """Return the next message."""
        try:
            message: str = super().recvmsg()
        except SocketClosed as error:
            raise ConnectionError("closed without EXIT") from error
        except UnicodeDecodeError as error:
            raise ConnectionError("it says no text") from error
        if message not in _MESSAGES:
            raise ConnectionError(f"{message!r} is no message of i-PI")
        return message


class _Client(SocketClient):
    """ASE's client, which leaves so that the server can go on with others, also in the middle of a structure."""

    def close(self) -> None:
        """Say that nothing comes any more, and read what is still sent: closed at once, i-PI would wait for ever."""
        if not self.closed:
            of_socket, end = self.protocol.socket, time.monotonic() + _LEAVE
            of_socket.settimeout(_LEAVE)
            with suppress(OSError):
                of_socket.shutdown(SHUT_WR)
                while time.monotonic() < end and of_socket.recv(2**16):
                    pass
        super().close()


def answer(
    atoms: Atoms, *, host: str = "localhost", port: int | None = None, socket: str = "", wait: float = 30
) -> int:
    """Compute energy, forces and virial for the positions and cells that a server sends, until it ends.

    The virial is 0 without a cell, and NaN in a cell where the calculator has no stress.

    Args:
        atoms: the structure, in the order of the server, with its calculator; its positions are not used.
        host: the machine of an INET socket.
        port: of that; None stands for i-PI's own, 31415.
        socket: name of a UNIX socket instead, which is /tmp/ipi_NAME.
        wait: how long to wait for the server to start [s].

    Returns:
        The number of structures that were computed.

    Raises:
        DataError: a structure that the potential refuses, or with another number of atoms.
        ServerError: nobody answers, the connection broke, or the name of the socket is none.
    """
    if "/" in socket:
        raise ServerError(f"socket {socket}: give its name alone, as x for /tmp/ipi_x.")
    has_stress, is_periodic = "stress" in atoms.calc.implemented_properties, bool(atoms.pbc.any())
    client, count = _connected(host, 31415 if port is None else port, socket, wait), 0
    of_socket, is_virial_known = client.protocol.socket, has_stress or not is_periodic
    if not is_virial_known:
        log.warning("The potential has no layer Stress: the virial is NaN, so that the volume has to be constant.")
    client.protocol = _Protocol(of_socket, len(atoms), is_virial_known=is_virial_known)
    try:
        for count, _ in enumerate(client.irun(atoms, use_stress=is_periodic and has_stress), start=1):  # noqa: B007
            pass
    except AssertionError as error:
        what = "positions that are no numbers, or what does not follow on what it sent before"
        raise ServerError(f"after {count} structures the server sent {what}.") from error
    except OSError as error:
        reason = str(error) or "closed"
        raise ServerError(f"the connection to the server broke after {count} structures ({reason}).") from error
    log.log(NOTICE, "The server has ended after %d structures.", count)
    return count


def _connected(host: str, port: int, socket: str, wait: float) -> _Client:
    """Return a client, as soon as there is a server."""
    where, end = f"/tmp/ipi_{socket}" if socket else f"{host}:{port}", time.monotonic() + wait
    while True:
        try:
            client = _Client(host=host, port=port, unixsocket=socket or None)
        except OverflowError as error:
            raise ServerError(f"{where}: there is no such port. Give a number up to 65535.") from error
        except OSError as error:
            # at once where it is no number
            if not time.monotonic() <= end:
                advice = "Start i-PI first, with this socket"
                if socket and isinstance(error, ConnectionRefusedError):
                    advice = "The file is left of an i-PI that is gone: remove it. " + advice
                reason = error.strerror or error
                raise ServerError(f"{where}: nobody answers ({reason}). {advice}.") from error
            time.sleep(_POLL)
        else:
            log.log(NOTICE, "Connected to %s.", where)
            return client
