from pathlib import Path

import pytest

from pyg_nnp.runtime.data_path import DataPath


def test_patterns_are_expanded_in_natural_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run10.npz", "run9.npz", "a[1].npz", "deep/er/x.npz", "deep/y.npz", ".hidden.npz"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    named = {
        "run*.npz": ["run9.npz", "run10.npz"],
        "a[1].npz": ["a[1].npz"],  # there is a file of this name
        "deep/**/*.npz": ["deep/er/x.npz", "deep/y.npz"],
        "none*.npz": ["none*.npz"],  # as it is written, for the message
        "deep": ["deep"],
        "./run9.npz": ["run9.npz"],
    }
    for entry, files in named.items():
        assert [str(path) for path in DataPath.of(entry).expanded()] == files
    together = DataPath.of(["run10.npz", Path("deep/y.npz")])
    assert [str(path) for path in together.expanded()] == ["run10.npz", "deep/y.npz"]
    assert DataPath.of(together) is together


def test_text_for_messages_and_for_a_configuration() -> None:
    assert str(DataPath.of("a.npz")) == "a.npz"
    assert str(DataPath.of(list("abcde"))) == "a, b, c and 2 more"
    assert DataPath.of("a.npz").given == "a.npz"
    assert DataPath.of(["a", "b"]).given == ["a", "b"]


@pytest.mark.parametrize(
    ("entry", "file", "is_there"),
    [
        ("a.npz", "a.npz", True),
        ("./a.npz", "a.npz", True),
        ("a.npz", "b/a.npz", False),
        ("run*.npz", "run10.npz", True),
        ("run*.npz", "other/run10.npz", False),
        ("runs", "runs/1/a.npz", True),
        ("run", "runs/a.npz", False),
        ("runs/**/*.npz", "runs/a.npz", True),
        ("runs/**/*.npz", "runs/1/2/a.npz", True),
        ("/data/*.npz", "/data/a.npz", True),
    ],
)
def test_which_files_are_named(entry: str, file: str, is_there: bool) -> None:
    """Whether or not they are there."""
    assert DataPath.of(entry).has(file) == is_there
