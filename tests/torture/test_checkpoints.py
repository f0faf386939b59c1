"""Random damage to the files of a trained potential: whoever reads them says so, and nobody goes on with them."""

import random
from collections import Counter
from pathlib import Path

import pytest
from damage import DAMAGES
from toy import toy_config, write_config, write_toy

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.errors import DataError
from pyg_nnp.potential.checkpoint import BEST, LAST

CORRUPTIONS = 200


def train(seed: int, epochs: int, out: str, *options: str) -> int:
    document = toy_config(Trainer__max_epochs=epochs, Trainer__seed=seed, Trainer__schedule="constant")
    write_config(Path(), document)
    return cli.main(["train", "train.yaml", "-o", out, *options])


def test_random_corruptions_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other files are those of the same training with another seed, which fit in every way but one."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    for seed, out in ((2, "other"), (1, "out")):
        assert train(seed, 4, out) == 0
    model = Path("out/FF01-SchNet")
    right = {path: path.read_bytes() for path in sorted(model.iterdir()) if path.is_file()}
    dice, kinds, loaded = random.Random(0), Counter[str](), 0
    for number in range(CORRUPTIONS):
        damage, name = DAMAGES[number % len(DAMAGES)], dice.choice([BEST, LAST])
        path = model / name
        other = (Path("other/FF01-SchNet") / name).read_bytes()
        broken = damage(right[path], other, dice)
        assert broken != right[path]
        path.write_bytes(broken)
        kinds[f"{name} {damage.__name__}"] += 1
        # that alone is a good file
        if broken != other:
            with pytest.raises(DataError, match=name):
                pyg_nnp.load_potential(path)
            loaded += 1
        capsys.readouterr()
        assert train(1, 4, "out", "--resume") == 2, (name, damage.__name__)
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith(("DataError", "ConfigError")), said
        assert name in said
        assert "Traceback" not in said
        # what was not damaged is as it was
        assert all(p.read_bytes() == content for p, content in right.items() if p != path)
        path.write_bytes(right[path])
    # and with the right files it does go on
    assert train(1, 4, "out", "--resume") == 0
    print(f"\n{CORRUPTIONS} corruptions of checkpoints, all noticed by --resume, {loaded} by loading: {dict(kinds)}")


@pytest.mark.parametrize(("name", "other"), [(BEST, LAST), (LAST, BEST)])
def test_one_in_the_place_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    assert train(1, 2, "out") == 0
    model = Path("out/FF01-SchNet")
    (model / name).write_bytes((model / other).read_bytes())
    assert train(1, 2, "out", "--resume") == 2
    assert f"this was saved as {other}. Put the right file in its place." in capsys.readouterr().err
