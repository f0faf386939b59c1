"""Reports of trained models: what is on the page."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from reports import PLOTS, TARGETS, Page, opened
from toy import toy_config, write_config, write_toy

from pyg_nnp import load_potential
from pyg_nnp.commands import cli
from pyg_nnp.training.report.collect import collect
from pyg_nnp.training.report.make import make_report
from pyg_nnp.training.state import TrainingData


def test_every_plot_is_in_the_page_and_in_a_file(reported: Path) -> None:
    folder = reported / "out/FF01-SchNet"
    files = {path.stem: path.read_bytes() for path in (folder / "plots").iterdir()}
    assert files.keys() == PLOTS
    page = Page(folder / "report.html")
    assert {attributes["id"] for attributes in page.all("figure") if "id" in attributes} == PLOTS
    embedded = [base64.b64decode(str(image["src"]).partition("base64,")[2]) for image in page.all("img")]
    assert sorted(embedded) == sorted(files.values())
    for content in files.values():
        Image.open(BytesIO(content)).verify()
        colours = Image.open(BytesIO(content)).convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 10
    assert all(image["alt"] for image in page.all("img"))


def test_page_has_metrics_configuration_and_course(reported: Path) -> None:
    page = Page(reported / "out/FF01-SchNet/report.html")
    metrics = json.loads((reported / "out/FF01-SchNet/metrics.json").read_text())
    for part in ("validation", "test"):
        for value in metrics[part]["rmse"].values():
            assert f"{value:#.4g}" in page.text
    assert (reported / "out/config.yaml").read_text() in page.text
    assert "3 epochs; the best one was" in page.text
    assert "Errors on the test part" in page.text
    assert f"torch {torch.__version__}" in page.text
    assert "Hartree/Å" in page.text
    assert re.search(r"Warnings\s*none\s*Metrics", page.text)
    assert re.search(r"Time\s*\d+\.\d+ s, \d+\.\d+ s an epoch \(median\), validation included, on cpu", page.text)
    assert re.search(r"Trained with\s*python 3\.", page.text)
    assert len(page.all("canvas")) == 6  # frames of the test part


def test_errors_per_atom_and_spread_are_in_the_page(reported: Path) -> None:
    text, cell = (reported / "out/FF01-SchNet/report.html").read_text(), r'<td class="n">[\d.e+−]+</td>'
    assert re.search(rf'<th>energy \(E\)</th><td>per atom</td>({cell}){{4}}<td class="n">–</td><td>Hartree</td>', text)
    # of all: count, three errors and the spread
    assert re.search(rf"<th>force \(Fa\)</th><td>all</td>({cell}){{5}}<td>Hartree/Å</td>", text)


def test_page_says_what_is_a_random_choice(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_nnp.training.report.collect.MAX_POINTS", 40)
    monkeypatch.setattr("pyg_nnp.training.report.sample._MAX_ATOMS", 60)
    config, dataset, parts = opened(copied / "out")
    potential = load_potential(copied / "out/FF01-SchNet")
    evaluation = collect(potential, dataset, parts, TARGETS, 5)
    data = TrainingData(dataset, parts)
    text = Page(make_report(config, "FF01", data, potential, evaluation, copied / "out")).text
    assert "over 10 frames chosen at random from 24" in text
    assert re.search(r"\d+ of \d+ numbers, chosen at random; RMSE and MAE are of all", text)


def test_energies_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without forces the worst frames are those of energies, and atoms have the colours of elements."""
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    document = toy_config(Trainer__report=True, Trainer__Splitter={"parts": ["training"], "ratios": [1.0]})
    document["Datahub"]["targets"] = {"E": "energy"}
    document["Datahub"]["transforms"]["negative_gradient"] = False
    model = document["Modelhub"]["FF01"]
    keep = ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core", "EnergyReduce")
    model["layers"] = [layer for layer in model["layers"] if layer["name"] in keep]
    model["loss"] = document["Metrics"] = {"rmse": {"E": 1}}
    del model["build_params"]["Hartree_in_E"]
    write_config(tmp_path, document)
    assert cli.main(["train", "train.yaml"]) == 0
    page = Page(tmp_path / "FF01-SchNet/report.html")
    assert "Errors on the training part" in page.text
    assert "largest error of energy per atom" in page.text
    assert "There are no metrics" in page.text
    assert "units of E" in page.text
    assert page.all("input") == []
    assert json.loads(page.scripts[0])["largest"] is None
    assert {path.stem for path in (tmp_path / "FF01-SchNet/plots").iterdir()} == {"data", "learning_curves", "parity_E"}
