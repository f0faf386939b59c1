"""docs/tutorial.md: its blocks are run one after the other in an empty folder, as a reader would."""

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_nnp.commands import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text()
# what a block follows, its language, its content
BLOCKS = re.findall(r"(?:Save this as\s`(\S+)`:\n\n)?^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def run(line: str) -> None:
    """Run a line of a shell without one, so that Python and its packages need not be loaded each time."""
    program, *arguments = shlex.split(line)
    if program == "pyg-nnp":
        assert cli.main(arguments) == 0, line
    else:
        assert program == "python", line
        (script,) = arguments
        runpy.run_path(script, run_name="__main__")


def test_tutorial_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    printed = ""
    for name, language, content in BLOCKS:
        if name:
            (folder / name).write_text(content)
        elif language == "bash":
            for line in content.splitlines():
                run(line)
        elif language == "python":
            exec(content, names)
        elif language == "text":
            output = capsys.readouterr()
            printed += output.out + output.err
            for line in content.splitlines():
                assert line in printed
        else:
            raise AssertionError(f"a block of {language} that nothing is done with")
    assert {name for name, *_ in BLOCKS if name} == {"make_data.py", "train.yaml", "simulate.yaml"}
    # the page says that the potential is good: forces far better than their spread, energy conserved
    error = names["metrics"]["test"]["rmse"]["Fa"]
    assert error < 0.1 * np.sqrt((names["force_ev"] ** 2).mean())
    assert error < np.sqrt(np.mean(np.square(names["errors"]))) < 10 * error
    assert np.std(names["totals"]) < 0.01
