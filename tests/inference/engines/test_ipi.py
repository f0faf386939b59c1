"""i-PI gets the numbers that ASE's calculator has, through its sockets, also for path integrals."""

import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.socketio import IPIProtocol
from engine_systems import of_crystals, of_molecules, some_of_both

from pyg_nnp.commands import cli
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.engines.ipi import ServerError, answer
from pyg_nnp.layers.force import Stress
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential

# ASE's client leaves the socket of an attempt in vain to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

INPUT = """<simulation verbosity='low'>
  <output prefix='run'>
    <properties stride='1' filename='out'> [ step, conserved, potential ] </properties>
  </output>
  <total_steps>2</total_steps>
  <prng><seed>1</seed></prng>
  <ffsocket name='pyg_nnp' mode='inet' pbc='False'>
    <address>localhost</address><port>{port}</port>
  </ffsocket>
  <system>
    <initialize nbeads='4'>
      <file mode='ase' units='angstrom'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces><force forcefield='pyg_nnp'/></forces>
    <motion mode='dynamics'>
      <dynamics mode='nve'><timestep units='femtosecond'> 0.2 </timestep></dynamics>
    </motion>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
  </system>
</simulation>
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class AnyNumbers(IPIProtocol):
    """ASE's server refuses what is no number; that of i-PI takes it."""

    def recv(self, shape: Any, dtype: Any) -> Any:
        return np.frombuffer(self._recvall(np.dtype(dtype).itemsize * int(np.prod(shape))), dtype).reshape(shape)


class Server(threading.Thread):
    """Sends structures to one client, and keeps its answers."""

    def __init__(self, systems: list[Atoms], breaks: bool = False) -> None:
        super().__init__()
        self.systems, self.breaks = systems, breaks
        self.answers: list[tuple[float, np.ndarray, np.ndarray]] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def run(self) -> None:
        connection, _ = self.listening.accept()
        with self.listening, connection:
            protocol = AnyNumbers(connection)
            for atoms in self.systems:
                protocol.status()
                protocol.sendposdata(atoms.cell, np.linalg.pinv(atoms.cell), atoms.positions)
                if self.breaks:
                    # so that the answer finds no connection
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                try:
                    self.answers.append(protocol.sendrecv_force()[:3])
                except OSError:
                    return
            protocol.end()


@pytest.mark.parametrize("is_periodic", [False, True])
def test_results_are_those_of_the_calculator(is_periodic: bool) -> None:
    calculator = PotentialCalculator(of_crystals() if is_periodic else of_molecules())
    for atoms in some_of_both()[is_periodic]:
        for charge in (0.0, 1.0):
            moved = atoms.copy()
            moved.rattle(0.02)
            server = Server([atoms, moved])
            server.start()
            own = Atoms(atoms.numbers, cell=atoms.cell, pbc=atoms.pbc, info={"charge": charge}, calculator=calculator)
            assert answer(own, host="127.0.0.1", port=server.port) == 2
            server.join()
            for sent, (energy, forces, virial) in zip((atoms, moved), server.answers, strict=True):
                sent.info["charge"], sent.calc = charge, calculator
                np.testing.assert_allclose(energy, sent.get_potential_energy(), rtol=1e-9)
                np.testing.assert_allclose(forces, sent.get_forces(), atol=1e-9)
                if is_periodic:
                    np.testing.assert_allclose(virial, -sent.get_volume() * sent.get_stress(voigt=False), atol=1e-9)
                else:
                    assert (virial == 0).all()


def test_a_cell_without_stress_has_a_virial_of_no_numbers(caplog: pytest.LogCaptureFixture) -> None:
    whole = of_crystals()
    potential = Potential([layer for layer in whole.layers if not isinstance(layer, Stress)], whole.spec).eval()
    silicon = some_of_both()[1][0]
    server = Server([silicon.copy()])
    silicon.calc = PotentialCalculator(potential, charge=0.0)
    server.start()
    assert answer(silicon, host="127.0.0.1", port=server.port) == 1
    server.join()
    ((energy, forces, virial),) = server.answers
    np.testing.assert_allclose(energy, silicon.get_potential_energy(), rtol=1e-9)
    np.testing.assert_allclose(forces, silicon.get_forces(), atol=1e-9)
    assert np.isnan(virial).all()
    assert "no layer Stress: the virial is NaN, so that the volume has to be constant" in caplog.text


def model_in(folder: Path) -> Path:
    save_potential(of_molecules(), folder / "best.safetensors", {})
    return folder


def test_another_precision(tmp_path: Path) -> None:
    water = some_of_both()[0][0]
    ase.io.write(tmp_path / "start.xyz", water)
    server = Server([water])
    server.start()
    arguments = [str(model_in(tmp_path)), str(tmp_path / "start.xyz"), "--host", "127.0.0.1"]
    assert cli.main(["serve", *arguments, "--port", str(server.port), "--dtype", "float32"]) == 0
    server.join()
    for dtype, is_exact in (("float32", True), ("float64", False)):
        water.calc = PotentialCalculator(tmp_path, dtype=dtype)
        assert np.allclose(server.answers[0][1], water.get_forces(), rtol=1e-12, atol=1e-12) == is_exact


@pytest.mark.skipif(find_spec("ipi") is None, reason="needs pip install ipi")
def test_path_integrals_with_i_pi(tmp_path: Path) -> None:
    atoms = some_of_both()[0][0]
    atoms.cell = [20, 20, 20]
    ase.io.write(tmp_path / "start.xyz", atoms)
    port = free_port()
    (tmp_path / "input.xml").write_text(INPUT.format(port=port))
    (tmp_path / "model").mkdir()
    model = model_in(tmp_path / "model")
    program = Path(sys.executable).with_name("i-pi")
    with subprocess.Popen(
        [program, "input.xml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ}
    ) as i_pi:
        arguments = [str(model), str(tmp_path / "start.xyz"), "--port", str(port), "--wait", "120"]
        assert cli.main(["serve", *arguments]) == 0
        text = i_pi.communicate()[0].decode()
    assert i_pi.returncode == 0, text
    rows = np.loadtxt(tmp_path / "run.out")
    assert rows.shape == (3, 3)
    atoms.calc = PotentialCalculator(model)
    # all beads begin at one place, and move
    assert rows[0, 2] == pytest.approx(atoms.get_potential_energy() / units.Hartree, rel=1e-7)
    assert rows[2, 2] != rows[0, 2]
    assert rows[2, 1] == pytest.approx(rows[0, 1], rel=1e-6)


@pytest.mark.skipif(find_spec("ipi") is None, reason="needs pip install ipi")
def test_i_pi_goes_on_after_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With another client: closed in the middle of a structure, it would wait for ever."""
    atoms = some_of_both()[0][0]
    atoms.cell = [20, 20, 20]
    ase.io.write(tmp_path / "start.xyz", atoms)
    ase.io.write(tmp_path / "wrong.xyz", atoms[:2])
    port, potential = free_port(), of_molecules()
    (tmp_path / "input.xml").write_text(INPUT.format(port=port))
    (tmp_path / "model").mkdir()
    potential.domain = TrainingDomain(elements=(1, 8))
    save_potential(potential, tmp_path / "model" / "best.safetensors", {})
    program = Path(sys.executable).with_name("i-pi")
    with subprocess.Popen([program, "input.xml"], cwd=tmp_path, stdout=subprocess.DEVNULL) as i_pi:
        # it would wait for ever
        killer = threading.Timer(60, i_pi.kill)
        killer.start()
        for name, status in (("wrong", cli.USER_ERROR), ("start", 0)):
            arguments = [str(tmp_path / "model"), str(tmp_path / f"{name}.xyz"), "--port", str(port), "--wait", "120"]
            assert cli.main(["serve", *arguments]) == status
        killer.cancel()
    assert i_pi.returncode == 0
    assert "DataError: the server's structure has 3 atoms, this one 2" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("ipi") is None, reason="needs pip install ipi")
def test_i_pi_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atoms = some_of_both()[0][0]
    atoms.cell = [20, 20, 20]
    ase.io.write(tmp_path / "start.xyz", atoms)
    port = free_port()
    (tmp_path / "input.xml").write_text(INPUT.format(port=port).replace(">2</total", ">1000000</total"))
    (tmp_path / "model").mkdir()
    model = model_in(tmp_path / "model")
    program = Path(sys.executable).with_name("i-pi")
    with subprocess.Popen([program, "input.xml"], cwd=tmp_path, stdout=subprocess.DEVNULL) as i_pi:
        killer = threading.Thread(target=kill_after, args=(i_pi, tmp_path / "run.out"))
        killer.start()
        arguments = [str(model), str(tmp_path / "start.xyz"), "--port", str(port), "--wait", "120"]
        assert cli.main(["serve", *arguments]) == cli.USER_ERROR
        killer.join()
    message = capsys.readouterr().err
    assert re.search(r"ServerError: the connection to the server broke after \d+ structures", message)
    assert "Traceback" not in message


def kill_after(process: subprocess.Popen[bytes], output: Path) -> None:
    """Kill i-PI as soon as it has written some steps."""
    while process.poll() is None and not (output.exists() and output.read_text().count("\n") > 5):
        time.sleep(0.05)
    process.kill()


def test_an_unknown_element_and_a_cell_without_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    potential = of_molecules()
    potential.domain = TrainingDomain(elements=(1, 6))
    save_potential(potential, tmp_path / "best.safetensors", {})
    water, crystal = some_of_both()[0][0], some_of_both()[1][4]
    for atoms, expected in ((water, "was not trained on O, only on H, C"), (crystal, "the cell is periodic, but")):
        ase.io.write(tmp_path / "start.xyz", atoms)
        started = time.monotonic()
        # before anybody answers
        assert cli.main(["serve", str(tmp_path), str(tmp_path / "start.xyz"), "--wait", "40"]) == cli.USER_ERROR
        message = capsys.readouterr().err
        assert f"DataError: {expected}" in message or f"this potential {expected}" in message
        assert "Traceback" not in message
        assert time.monotonic() - started < 30


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "start.xyz", some_of_both()[0][0])
    port, started = free_port(), time.monotonic()
    arguments = [str(model_in(tmp_path)), str(tmp_path / "start.xyz"), "--port", str(port), "--wait", "0.3"]
    assert cli.main(["serve", *arguments]) == cli.USER_ERROR
    message = capsys.readouterr().err
    assert f"ServerError: localhost:{port}: nobody answers" in message
    assert "Traceback" not in message
    assert time.monotonic() - started < 30
    arguments[2:4] = ["--socket", "nobody_is_here"]
    assert cli.main(["serve", *arguments]) == cli.USER_ERROR
    assert "/tmp/ipi_nobody_is_here: nobody answers" in capsys.readouterr().err
    name = f"pyg_nnp_left_{os.getpid()}"
    left = Path(f"/tmp/ipi_{name}")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(left))
    arguments[3] = name
    assert cli.main(["serve", *arguments]) == cli.USER_ERROR
    assert "The file is left of an i-PI that is gone: remove it." in capsys.readouterr().err
    left.unlink()
    arguments[3] = "/tmp/ipi_x"
    assert cli.main(["serve", *arguments]) == cli.USER_ERROR
    assert "ServerError: socket /tmp/ipi_x: give its name alone, as x for /tmp/ipi_x." in capsys.readouterr().err
    arguments[3] = "nobody_is_here"
    assert cli.main(["serve", *arguments, "--host", "elsewhere"]) == cli.USER_ERROR
    assert "ConfigError: --host is for an INET socket" in capsys.readouterr().err
    # a time that never comes
    arguments[-1] = "nan"
    assert cli.main(["serve", *arguments]) == cli.USER_ERROR
    for port in ("-1", "99999"):
        arguments[2:4] = ["--port", port]
        assert cli.main(["serve", *arguments]) == cli.USER_ERROR
        assert f"ServerError: localhost:{port}: there is no such port" in capsys.readouterr().err


def test_a_number_of_atoms_that_is_none() -> None:
    water = some_of_both()[0][0]
    water.calc = PotentialCalculator(of_molecules())

    def serve(listening: socket.socket) -> None:
        connection = listening.accept()[0]
        with connection:
            connection.sendall(b"POSDATA".ljust(12) + np.zeros(18).tobytes() + np.int32(-1).tobytes())
            connection.recv(12)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        with pytest.raises(ServerError, match=r"broke after 0 structures \(it says no number of atoms\)"):
            answer(water, host="127.0.0.1", port=listening.getsockname()[1])
        server.join()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"POSDATA".ljust(12) + np.zeros(18).tobytes() + np.int32(2**31 - 1).tobytes(), "broke after 0 structures"),
        (b"GETFORCE".ljust(12), "sent positions that are no numbers, or what does not follow on what it sent before"),
    ],
)
def test_what_does_not_follow(sent: bytes, expected: str) -> None:
    water = some_of_both()[0][0]
    water.calc = PotentialCalculator(of_molecules())

    def serve(listening: socket.socket) -> None:
        connection = listening.accept()[0]
        with connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(12)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        with pytest.raises(ServerError, match=expected):
            answer(water, host="127.0.0.1", port=listening.getsockname()[1])
        server.join()


def test_what_goes_wrong_with_a_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    water, methane = some_of_both()[0][:2]
    water.calc = PotentialCalculator(of_molecules())
    other = Server([methane])
    other.start()
    with pytest.raises(DataError, match="the server's structure has 5 atoms, this one 3"):
        answer(water, host="127.0.0.1", port=other.port)
    other.join()
    breaks = Server([water.copy()], breaks=True)
    breaks.start()
    with pytest.raises(ServerError, match=r"the connection to the server broke after [01] structures"):
        answer(water, host="127.0.0.1", port=breaks.port)
    breaks.join()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", "closed without EXIT"),
        (b"HTTP/1.1 400", "HTTP/1.1 400' is no message"),
        (b"\xff" * 12, "no text"),
        (b"POSDATA".ljust(12) + b"\0" * 80, r"\(closed"),
    ],
)
def test_what_is_no_i_pi(message: bytes, expected: str) -> None:
    water = some_of_both()[0][0]
    water.calc = PotentialCalculator(of_molecules())
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(message)

        other = threading.Thread(target=talk)
        other.start()
        with pytest.raises(ServerError, match=rf"the connection to the server broke after 0 structures .*{expected}"):
            answer(water, host="127.0.0.1", port=listening.getsockname()[1])
        other.join()
