"""The command line where the machine is not as usual: terminals without UTF-8, full disks."""

import os
import subprocess
import sys
from pathlib import Path

import ase.io
import programs
import pytest
from ase.build import molecule
from command_line import refused

RUN = "import sys; from pyg_nnp.commands import cli; sys.exit(cli.main(sys.argv[1:]))"
# Python's own ways to get there; without the last two, a terminal in C is taken for one in UTF-8
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin": {"PYTHONIOENCODING": "latin-1"},
}


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a command in a process of its own."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        capture_output=True,
        env={**env, "OMP_NUM_THREADS": "1", **environment},
        check=False,
    )
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


@pytest.fixture
def water(tmp_path: Path) -> Path:
    frames = [molecule("H2O") for _ in range(3)]
    for number, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=number)
        atoms.info["energy_Ha"] = -76.0 + 0.01 * number
    ase.io.write(tmp_path / "water.xyz", frames)
    return tmp_path


@pytest.mark.parametrize("terminal", TERMINALS)
def test_init_on_a_terminal_without_utf_8(water: Path, terminal: str) -> None:
    status, said, errors = run(water, "init", "water.xyz", "--map", "E=energy_Ha", **TERMINALS[terminal])
    assert (status, errors) == (0, "")
    assert "water.xyz seems to have:" in said
    assert ("Å" if terminal == "latin" else "?") in said
    # the file is UTF-8 on any terminal
    assert "Å" in (water / "train.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("terminal", ["ascii", "C"])
def test_info_and_evaluate_on_a_terminal_without_utf_8(trained: Path, tmp_path: Path, terminal: str) -> None:
    for arguments in (["info", "out/FF01-SchNet"], ["evaluate", "out/FF01-SchNet", "dataset.pkl"]):
        status, said, errors = run(trained, *arguments, **TERMINALS[terminal])
        assert (status, "Traceback" in errors) == (0, False), errors
        assert "Fa" in said


def test_a_file_whose_name_is_no_text(water: Path) -> None:
    """As written on a machine with another encoding."""
    name = os.fsdecode(b"caf\xe9.xyz")
    (water / "water.xyz").rename(water / name)
    status, said, errors = run(water, "info", name, PYTHONUTF8="1")
    assert (status, errors) == (0, "")
    assert "caf?.xyz: extxyz" in said


@pytest.mark.parametrize("names", [1, 3000])  # with few, Python keeps all output to the end
def test_output_that_nothing_reads(water: Path, names: int) -> None:
    """As with ``| head``."""
    reads, writes = os.pipe()
    os.close(reads)
    text = " ".join(f"name{number}=1" for number in range(names))
    (water / "water.xyz").write_text(f"1\n{text}\nH 0 0 0\n")
    command = [sys.executable, "-c", RUN, "info", "water.xyz"]
    done = subprocess.run(command, cwd=water, stdout=writes, stderr=subprocess.PIPE, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")


def test_help_on_a_terminal_without_utf_8(tmp_path: Path) -> None:
    for command in ("train", "check", "init", "info", "evaluate", "predict", "simulate", "report"):
        assert run(tmp_path, command, "--help", PYTHONIOENCODING="ascii")[0] == 0


def test_a_full_folder_for_temporary_files(trained: Path, tmp_path: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); {RUN}"
    command = ["-c", limited, "evaluate", "out/FF01-SchNet", "dataset.pkl"]
    status, _, errors = programs.run(command, trained, TMPDIR=str(tmp_path))
    assert status == 2
    last = errors.splitlines()[-1]
    assert last.startswith(f"OSError: {tmp_path}/pyg_nnp_")
    assert "File too large. Look at permissions and at the space left, or set TMPDIR to another folder" in last
    assert "-o" not in last.replace(str(tmp_path), "")
    assert [*tmp_path.glob("pyg_nnp_*")] == []


def test_advice_is_about_options_that_there_are(trained_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["evaluate", "out/FF01-SchNet", "dataset.pkl", "--csv", "/proc/errors.csv"]
    assert "choose another file" in refused(capsys, *asked)
    asked = ["predict", "out/FF01-SchNet", "dataset.pkl", "-o", "/proc/predicted.npz"]
    assert "choose another -o" in refused(capsys, *asked)
