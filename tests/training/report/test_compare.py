import base64
import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from reports import Page
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli
from pyg_nnp.training.report.compare import differing_settings


def test_comparison(copied: Path, two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *two]) == 0
    assert capsys.readouterr().out.endswith("comparison.html\n")
    page = Page(copied / "comparison.html")
    for out in two:
        assert f"{out}/FF01-SchNet" in page.text
        metrics = json.loads((copied / out / "FF01-SchNet/metrics.json").read_text())
        for value in metrics["test"]["rmse"].values():
            assert f"{value:#.4g}" in page.text
    assert re.search(r"Trainer\.learning_rate\s*0\.01\s*0\.002", page.text)
    assert re.search(r"Trainer\.max_epochs\s*3\s*2", page.text)
    assert "not trained and tested on the same data" not in page.text
    # those of a name that would be an element, and none of the name
    assert len(page.all("b")) == len(page.all("script")) == 0
    (image,) = page.all("img")
    Image.open(BytesIO(base64.b64decode(str(image["src"]).partition("base64,")[2]))).verify()
    lowest = [attributes for attributes in page.all("td") if "best" in str(attributes.get("class"))]
    assert len(lowest) >= 10
    # again over its own page, and never over another
    assert cli.main(["report", *two]) == 0
    (copied / "notes.html").write_text("my notes")
    assert cli.main(["report", *two, "-o", "notes.html"]) == 2
    assert (copied / "notes.html").read_text() == "my notes"
    assert cli.main(["report", *two, "-o", "out/FF01-SchNet/report.html"]) == 2
    assert cli.main(["report", "out", "-o", "there.html"]) == 2
    assert "-o is for comparing" in capsys.readouterr().err


def test_comparison_of_other_splits_says_so(copied: Path) -> None:
    write_toy(copied, names=("H2O", "CH3OH"))
    write_config(copied, toy_config(Trainer__max_epochs=1, Trainer__Splitter__seed=1))
    assert cli.main(["train", "train.yaml", "-o", "other"]) == 0
    assert cli.main(["report", "out", "other", "-o", "page.html"]) == 0
    page = Page(copied / "page.html")
    assert "not trained and tested on the same data" in page.text
    assert not [attributes for attributes in page.all("td") if "best" in str(attributes.get("class"))]


def test_differing_settings_by_hand() -> None:
    assert differing_settings([{"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}, {"a": 1, "b": 2, "c": 4}]) == {
        "b": [2, 3, 2],
        "c": [None, None, 4],
    }
