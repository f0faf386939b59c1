"""Reports of trained models and comparisons of them: content, files, mistakes, and the page in a browser."""

import base64
import csv
import json
import math
import re
import shutil
import sys
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from ase.data import atomic_numbers
from PIL import Image
from torch_geometric.data import Data
from toy import toy_config, write_config, write_toy

from pyg_nnp import load_config, load_potential
from pyg_nnp.commands import cli
from pyg_nnp.commands import train as run
from pyg_nnp.commands.train import warn_of_no_report
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.functional.bonds import bonds
from pyg_nnp.training.metrics import ErrorRow
from pyg_nnp.training.report import collect as collecting
from pyg_nnp.training.report import figures
from pyg_nnp.training.report.collect import Evaluation, Frame, Points, collect
from pyg_nnp.training.report.compare import differences
from pyg_nnp.training.report.drawing import png
from pyg_nnp.training.report.history import Course, read_course, read_history
from pyg_nnp.training.report.make import _of_errors, make_report
from pyg_nnp.training.report.sample import sample
from pyg_nnp.training.report.scene import facing, scene
from pyg_nnp.units import Units

TARGETS = ("E", "Fa", "Qa", "M2")
PLOTS = {"data", "learning_curves", "errors_by_element"} | {f"parity_{name}" for name in TARGETS}
HARTREE = Units(1, 0.529177).names
# the text of a user that would end a script, or begin an element
HOSTILE = "a<b></script><img src=x onerror=alert(1)>&{{ 7 * 7 }}"


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text outside of scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model in ``out``, of data in a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("work")
    (folder / HOSTILE).mkdir(parents=True)
    write_toy(folder / HOSTILE, names=("H2O", "CH3OH"))
    changes = {"data_path": f"{HOSTILE}/dataset.pkl", "transforms__atomic_energy": f"{HOSTILE}/atomic_energy.csv"}
    document = toy_config(Trainer__report=True, **{f"Datahub__{key}": value for key, value in changes.items()})
    write_config(folder, document)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    return folder


@pytest.fixture
def folder(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a copy of the trained model alone, without data file."""
    shutil.copytree(work / "out", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(out: Path) -> tuple[Any, MoleculeDataset, dict[str, torch.Tensor]]:
    config = load_config(out / "config.yaml")
    dataset = MoleculeDataset(next(out.glob("processed_dataset_*")))
    return config, dataset, split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)


def evaluated(out: Path, **changes: Any) -> Evaluation:
    _, dataset, parts = opened(out)
    return collect(load_potential(out / "FF01-SchNet"), dataset, changes.get("parts", parts), [*TARGETS, "Q"], 5)


def test_every_plot_is_in_the_page_and_in_a_file(work: Path) -> None:
    folder = work / "out/FF01-SchNet"
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


def test_page_has_metrics_configuration_and_course(work: Path) -> None:
    page = Page(work / "out/FF01-SchNet/report.html")
    metrics = json.loads((work / "out/FF01-SchNet/metrics.json").read_text())
    for part in ("validation", "test"):
        for value in metrics[part]["rmse"].values():
            assert f"{value:#.4g}" in page.text
    assert (work / "out/config.yaml").read_text() in page.text
    assert "3 epochs; the best one was" in page.text
    assert "Errors on the test part" in page.text
    assert f"torch {torch.__version__}" in page.text
    assert "Hartree/Å" in page.text
    assert re.search(r"Warnings\s*none\s*Metrics", page.text)
    assert len(page.all("canvas")) == 6  # frames of the test part


def test_sums_of_charges_are_compared_where_they_differ() -> None:
    for charges, drawn in (([0.0, 0.0], []), ([0.0, 1.0], ["parity_Q"])):
        points = Points(np.array(charges), np.array([0.1, 0.9]), 2)
        row = ErrorRow("Q", "all", 2, 0.1, 0.1, 0.1)
        assert list(_of_errors(Evaluation("test", 2, {"Q": points}, [row], [], "Q"), HARTREE)) == drawn


def test_errors_per_atom_and_spread_are_in_the_page(work: Path) -> None:
    text, cell = (work / "out/FF01-SchNet/report.html").read_text(), r'<td class="n">[\d.e+−]+</td>'
    assert re.search(rf'<th>energy \(E\)</th><td>per atom</td>({cell}){{3}}<td class="n">–</td><td>Hartree</td>', text)
    # of all: three errors and the spread
    assert re.search(rf"<th>force \(Fa\)</th><td>all</td>({cell}){{4}}<td>Hartree/Å</td>", text)


def test_spread_of_charges_is_that_within_an_element() -> None:
    batch = Data(Za=torch.tensor([8, 1, 1]), Qa=torch.tensor([-0.8, 0.3, 0.5]), N=torch.tensor([3]))
    found = collecting._Points("Qa", 1, 3)
    found.add(batch, batch.Qa, torch.zeros(119))
    assert found.points().spread == pytest.approx(math.sqrt(2 * 0.1**2 / 3))
    np.testing.assert_array_equal(found.points().Za, [8, 1, 1])
    dipoles = collecting._Points("M2", 2, 6)
    dipoles.add(Data(M2=torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])), torch.zeros(2, 3), torch.zeros(119))
    assert dipoles.points().spread == pytest.approx(np.std([1, 2, 3, 4, 5, 6]))


def test_text_of_users_is_text(work: Path) -> None:
    page = Page(work / "out/FF01-SchNet/report.html")
    assert HOSTILE in page.text
    assert len(page.all("script")) == 2
    assert len(page.all("img")) == len(PLOTS)
    assert "alert(1)" not in "".join(page.scripts)
    assert json.loads(page.scripts[0])["frames"]


def test_nothing_of_the_page_is_elsewhere(work: Path) -> None:
    page = Page(work / "out/FF01-SchNet/report.html")
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            if name in attributes:
                assert str(attributes[name]).startswith(("data:", "#")), (tag, attributes)
    assert "default-src 'none'" in str(page.all("meta"))


def test_errors_are_those_of_metrics_json(work: Path) -> None:
    metrics = json.loads((work / "out/FF01-SchNet/metrics.json").read_text())
    rows = evaluated(work / "out").rows
    assert {row.field: row.rmse for row in rows if row.of == "all"} == metrics["test"]["rmse"]


def test_elements_and_worst_frames_by_hand(work: Path) -> None:
    _, dataset, parts = opened(work / "out")
    potential, found = load_potential(work / "out/FF01-SchNet"), evaluated(work / "out")
    errors: dict[int, np.ndarray] = {}
    for index in parts["test"].tolist():
        frame = dataset[index]
        errors[index] = (potential(frame)["Fa"] - frame.Fa).double().numpy()
    rmse = {index: float(np.sqrt(np.mean(error**2))) for index, error in errors.items()}
    order = sorted(rmse, key=lambda index: -rmse[index])
    assert found.worst_by == "Fa"
    assert [frame.index for frame in found.worst] == order
    for frame in found.worst:
        assert frame.errors["Fa"] == pytest.approx(rmse[frame.index], rel=1e-5)
        assert frame.of_atoms == pytest.approx(np.linalg.norm(errors[frame.index], axis=1), rel=1e-4)
        assert frame.Za.tolist() == dataset[frame.index].Za.tolist()
    numbers = np.concatenate([dataset[index].Za.numpy() for index in errors])
    joined = np.concatenate(list(errors.values()))
    by_element = {row.field: [r for r in found.rows if r.field == row.field and r.of != "all"] for row in found.rows}
    assert {field for field, rows in by_element.items() if len(rows) > 1} == {"Fa", "Qa"}
    for of in by_element["Fa"]:
        rows = joined[numbers == atomic_numbers[of.of]]
        assert of.count == rows.size
        assert of.rmse == pytest.approx(float(np.sqrt(np.mean(rows**2))), rel=1e-5)
        assert of.mae == pytest.approx(float(np.mean(abs(rows))), rel=1e-5)


def test_points_are_predictions_and_labels(work: Path) -> None:
    _, dataset, parts = opened(work / "out")
    potential, points = load_potential(work / "out/FF01-SchNet"), evaluated(work / "out").points
    frames = [dataset[index] for index in parts["test"].tolist()]
    assert points["M2"].true == pytest.approx(torch.cat([f.M2 for f in frames]).flatten().numpy(), rel=1e-6)
    predicted = torch.cat([potential(f)["M2"] for f in frames]).flatten().numpy()
    assert points["M2"].predicted == pytest.approx(predicted, abs=1e-5)
    reference = {1: -0.5, 6: -37.8, 8: -75.0}
    left = [float(f.E) - sum(reference[Z] for Z in f.Za.tolist()) for f in frames]
    assert points["E"].true == pytest.approx(left, abs=1e-9)


def test_a_large_part_is_thinned_but_its_errors_are_not(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluated(work / "out")
    monkeypatch.setattr(collecting, "MAX_POINTS", 40)
    thinned = evaluated(work / "out")
    assert thinned.rows == whole.rows
    of = whole.points["Fa"].of
    assert len(whole.points["Fa"].true) == of > 60
    assert thinned.points["Fa"].of == of
    assert 15 < len(thinned.points["Fa"].true) < 60
    pairs = set(zip(whole.points["Fa"].true, whole.points["Fa"].predicted, strict=True))
    assert set(zip(thinned.points["Fa"].true, thinned.points["Fa"].predicted, strict=True)) <= pairs


def test_page_says_what_is_a_random_choice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_POINTS", 40)
    monkeypatch.setattr("pyg_nnp.training.report.sample._MAX_ATOMS", 60)
    config, dataset, parts = opened(folder / "out")
    text = Page(make_report(config, "FF01", dataset, parts, folder / "out")).text
    assert "over 10 frames chosen at random from 24" in text
    assert re.search(r"\d+ of \d+ numbers, chosen at random; RMSE and MAE are of all", text)


@pytest.mark.parametrize(
    ("names", "expected"), [(["training", "validation"], "validation"), (["training"], "training")]
)
def test_part_where_there_is_no_test_part(work: Path, names: list[str], expected: str) -> None:
    _, _, parts = opened(work / "out")
    found = evaluated(work / "out", parts={name: parts[name] for name in names})
    assert found.part == expected
    assert {frame.index for frame in found.worst} <= set(parts[expected].tolist())


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


def test_predictions_that_are_not_finite_are_drawn_and_come_first() -> None:
    odd = np.array([1.0, np.nan, np.inf, 2.0])
    assert len(png(figures.parity("Fa", Points(np.arange(4.0), odd, 4), "test", np.nan, np.nan, HARTREE))) > 1000
    nothing = np.full(4, np.nan)
    assert len(png(figures.parity("E", Points(np.arange(4.0), nothing, 4), "test", np.nan, np.nan, HARTREE))) > 1000
    frame = Frame(0, np.array([8, 1]), np.eye(3)[:2], {"Fa": np.nan}, np.array([np.nan, 0.5]))
    found = scene([frame], 1.0, "eV/Å")
    json.dumps(found, allow_nan=False)
    assert np.isfinite(found["frames"][0]["errors"]).all()


def test_many_points_are_counted(tmp_path: Path) -> None:
    true = np.random.default_rng(0).normal(size=30_000)
    figure = figures.parity("Fa", Points(true, true + 0.1, 30_000), "test", 0.1, 0.1, HARTREE)
    assert any(text.get_text().startswith("test part") for text in figure.axes[0].texts)
    assert [type(part).__name__ for part in figure.axes[0].collections] == ["PolyCollection"]
    assert len(png(figure)) > 1000


def test_charges_have_the_colour_of_their_element() -> None:
    true = np.random.default_rng(0).normal(size=30_000)
    Za = np.array([7, 8, 7] * 10_000)
    axes = figures.parity("Qa", Points(true, true + 0.1, 30_000, 1.0, Za), "test", 0.1, 0.1, HARTREE).axes[0]
    drawn = {line.get_label(): len(line.get_xdata()) for line in axes.lines if line.get_label() in ("N", "O")}
    assert sum(drawn.values()) == 10_000
    assert drawn["N"] == pytest.approx(2 * drawn["O"], rel=0.1)
    assert axes.get_legend() is not None


def test_nothing_of_matplotlib_is_changed(work: Path) -> None:
    before, there = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    _, dataset, _ = opened(work / "out")
    png(figures.data_figure(sample(dataset, torch.zeros(119, dtype=torch.float64)), HARTREE))
    png(figures.errors_by_element([ErrorRow("Fa", "H", 9, 0.1, 0.2, 0.3)], "test", HARTREE))
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == there


def test_sample_by_hand(work: Path) -> None:
    _, dataset, _ = opened(work / "out")
    energies = torch.zeros(119, dtype=torch.float64)
    energies[1] = 10.0
    found = sample(dataset, energies)
    hydrogens = [int((dataset[index].Za == 1).sum()) for index in range(24)]
    assert found.values["E"] == pytest.approx([float(dataset[i].E) - 10 * hydrogens[i] for i in range(24)])
    assert len(found.distances) == len(found.values["Za"])
    pairs = {f"{d:.4f}" for i in range(24) for d in torch.pdist(dataset[i].Ra.double()).tolist()}
    assert {f"{d:.4f}" for d in found.distances} <= pairs


def test_scene_by_hand() -> None:
    Za, R = np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
    assert sorted(map(sorted, bonds(R, Za).tolist())) == [[0, 1], [0, 2]]
    turned = facing(R)
    spread = np.ptp(turned, axis=0)
    assert spread[0] >= spread[1] >= spread[2]
    assert np.linalg.norm(turned[1] - turned[2]) == pytest.approx(1.52)
    for chiral in np.random.default_rng(1).normal(size=(20, 4, 3)):
        before, after = (np.linalg.det(rows[1:] - rows[0]) for rows in (chiral, facing(chiral)))
        assert after == pytest.approx(before)
    frames = [Frame(3, Za, R, {"Fa": 1.0}, np.array([0.1, 0.4, 0.2]))]
    found = scene(frames, 0.5, "eV/Å")
    assert found["largest"] == 0.4
    assert found["elements"][8]["symbol"] == "O"
    assert np.linalg.norm(np.subtract(*found["frames"][0]["R"][1:])) == pytest.approx(0.76, abs=2e-3)


def test_times_are_read_from_the_logs(tmp_path: Path) -> None:
    def write(day: int, *lines: str) -> None:
        text = "\n".join(f"2026-01-0{day} {line}" for line in lines)
        (tmp_path / f"2026-01-0{day}_00-00-00.log").write_text(f"{text}\nnot a line of the log\n")

    begin = "INFO     FF01: SchNet with 10 parameters, float32, on cpu."
    write(1, f"10:00:00,000  {begin}", "10:00:09,000  DEBUG    epoch 1  learning_rate 1")
    write(
        2,
        "10:00:00,000  DEBUG    Versions: python 3",
        "10:00:00,000  WARNING  a.npz: 'F' (Fa) looks odd.",
        f"10:00:00,000  {begin}",
        "10:00:04,000  DEBUG    epoch 1  learning_rate 1",
        "10:00:05,000  DEBUG    epoch 2  learning_rate 1",
        "10:00:05,000  INFO     FF02: SchNet with 10 parameters, float32, on cuda:0.",
        "10:00:35,000  DEBUG    epoch 1  learning_rate 1",
    )
    write(3, f"10:00:00,000  {begin}", "10:00:02,500  DEBUG    epoch 3  learning_rate 1")
    assert read_course(tmp_path, "FF01") == Course(2.5, 7.5, None, "cpu", ())
    assert read_course(tmp_path, "FF02") == Course(30.0, 30.0, "python 3", "cuda:0", ("a.npz: 'F' (Fa) looks odd.",))
    assert read_course(tmp_path / "nowhere", "FF01") == Course()


def test_report_is_made_again_without_the_data_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = {path.name: path.read_bytes() for path in (folder / "out/FF01-SchNet/plots").iterdir()}
    shutil.rmtree(folder / "out/FF01-SchNet/plots")
    (folder / "out/FF01-SchNet/report.html").unlink()
    (log,) = (folder / "out/logs").iterdir()
    log.write_text(f"2026-01-01 10:00:00,000  WARNING  'F' (Fa) <looks> odd.\n{log.read_text()}")
    assert cli.main(["report", "out"]) == 0
    assert capsys.readouterr().out == "out/FF01-SchNet/report.html\n"
    assert {path.name: path.read_bytes() for path in (folder / "out/FF01-SchNet/plots").iterdir()} == first
    text = Page(folder / "out/FF01-SchNet/report.html").text
    assert "Errors on the test part" in text
    assert "'F' (Fa) <looks> odd." in text


def test_every_model_of_a_folder_has_its_report(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of an earlier configuration too, which was kept."""
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, toy_config(Trainer__max_epochs=1))
    assert cli.main(["train", "train.yaml"]) == 0
    write_config(tmp_path, toy_config(Trainer__max_epochs=2, Modelhub__FF01__suffix="more"))
    assert cli.main(["train", "train.yaml"]) == 0
    assert not list(tmp_path.glob("*/report.html"))
    assert cli.main(["report", "."]) == 0
    for name, epochs in (("FF01-SchNet", 1), ("FF01-SchNet-more", 2)):
        assert f"{epochs} epochs; the best one was" in Page(tmp_path / name / "report.html").text


def test_failure_is_a_warning_and_the_training_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Trainer__report=True))
    monkeypatch.chdir(tmp_path)

    def fail(*of_report: Any) -> None:
        raise PermissionError(13, "not allowed", "report.html")

    monkeypatch.setattr("pyg_nnp.training.report.make.make_report", fail)
    assert cli.main(["train", "train.yaml"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "FF01: no report could be made (PermissionError: [Errno 13] not allowed: 'report.html')" in told
    assert "pyg-nnp report ." in told
    assert (tmp_path / "FF01-SchNet/metrics.json").exists()


def test_a_mistake_in_the_code_of_reports_is_a_warning_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Trainer__report=True, Trainer__max_epochs=1))
    monkeypatch.chdir(tmp_path)

    def fail(*of_report: Any) -> None:
        raise ZeroDivisionError("a mistake in the code")

    monkeypatch.setattr("pyg_nnp.training.report.make.make_report", fail)
    # all other tests let it through
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "train.yaml", "-o", "out"])
    monkeypatch.setattr(run, "warn_of_no_report", warn_of_no_report)
    assert cli.main(["train", "train.yaml"]) == 0
    told = capsys.readouterr().err
    assert "ZeroDivisionError: a mistake in the code" in " ".join(told.split())
    assert "Traceback" not in told
    assert "Traceback" in next((tmp_path / "logs").iterdir()).read_text()


@pytest.mark.parametrize(
    ("prepared", "message"),
    [
        (lambda out: (out / "config.yaml").unlink(), "no trained model of a config.yaml is here"),
        (lambda out: (out / "FF01-SchNet/history.csv").write_text("epoch,x\n1\n"), "no history of a training"),
        (lambda out: (out / "FF01-SchNet/history.csv").unlink(), "there is no training to report on"),
        (lambda out: (out / "FF01-SchNet/metrics.json").write_text("[1]"), "no metrics of a training"),
        (lambda out: (out / "FF01-SchNet/last.safetensors").unlink(), "last.safetensors: no potential here"),
        (lambda out: shutil.rmtree(next(out.glob("processed*"))), "there is no processed data set here"),
        (lambda out: (out / "FF01-SchNet/report.html").write_text("my notes"), "is no report that pyg_nnp wrote"),
    ],
)
def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str], prepared: Any, message: str) -> None:
    prepared(folder / "out")
    assert cli.main(["report", "out"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_plots_are_not_written_through_a_link(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "elsewhere").mkdir()
    shutil.rmtree(folder / "out/FF01-SchNet/plots")
    (folder / "out/FF01-SchNet/plots").symlink_to(folder / "elsewhere")
    assert cli.main(["report", "out"]) == 2
    assert "outside of out" in capsys.readouterr().err
    assert not list((folder / "elsewhere").iterdir())


def test_a_training_that_goes_on_has_a_report_without_metrics(folder: Path) -> None:
    (folder / "out/FF01-SchNet/metrics.json").unlink()
    assert cli.main(["report", "out"]) == 0
    assert "has not ended; 3 epochs so far" in Page(folder / "out/FF01-SchNet/report.html").text


@pytest.fixture
def two(folder: Path) -> list[str]:
    """Two runs of different learning rate, the second in a folder with a hostile name."""
    write_toy(folder, names=("H2O", "CH3OH"))
    write_config(folder, toy_config(Trainer__learning_rate=0.002, Trainer__max_epochs=2))
    second = "_$x_2</script><b>"
    assert cli.main(["train", "train.yaml", "-o", second]) == 0
    return ["out", second]


def test_comparison(folder: Path, two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *two]) == 0
    assert capsys.readouterr().out.endswith("comparison.html\n")
    page = Page(folder / "comparison.html")
    for out in two:
        assert f"{out}/FF01-SchNet" in page.text
        metrics = json.loads((folder / out / "FF01-SchNet/metrics.json").read_text())
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
    (folder / "notes.html").write_text("my notes")
    assert cli.main(["report", *two, "-o", "notes.html"]) == 2
    assert (folder / "notes.html").read_text() == "my notes"
    assert cli.main(["report", *two, "-o", "out/FF01-SchNet/report.html"]) == 2
    assert cli.main(["report", "out", "-o", "there.html"]) == 2
    assert "-o is for comparing" in capsys.readouterr().err


def test_comparison_of_other_splits_says_so(folder: Path) -> None:
    write_toy(folder, names=("H2O", "CH3OH"))
    write_config(folder, toy_config(Trainer__max_epochs=1, Trainer__Splitter__seed=1))
    assert cli.main(["train", "train.yaml", "-o", "other"]) == 0
    assert cli.main(["report", "out", "other", "-o", "page.html"]) == 0
    page = Page(folder / "page.html")
    assert "not trained and tested on the same data" in page.text
    assert not [attributes for attributes in page.all("td") if "best" in str(attributes.get("class"))]


def test_differences_by_hand() -> None:
    assert differences([{"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}, {"a": 1, "b": 2, "c": 4}]) == {
        "b": [2, 3, 2],
        "c": [None, None, 4],
    }


def test_one_learning_curve_for_each_run(folder: Path, two: list[str]) -> None:
    histories = [(out, read_history(folder / out / "FF01-SchNet/history.csv")) for out in two]
    figure = figures.compared_curves(histories)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"{n}  {out}" for n, out in enumerate(two, 1)]
    with (folder / "out/FF01-SchNet/history.csv").open() as file:
        losses = [float(row["training_loss"]) for row in csv.DictReader(file)]
    assert figure.axes[0].lines[0].get_ydata().tolist() == losses
    assert all(len(axes.lines) == 2 for axes in figure.axes)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_page_in_a_browser(work: Path) -> None:
    """No error, no request, every picture is there, and the 3D views turn, zoom and change their colours."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    troubles: list[str] = []
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        address = (work / "out/FF01-SchNet/report.html").as_uri()
        page.on("request", lambda r: troubles.append(r.url) if not r.url.startswith((address, "data:")) else None)
        page.goto(address)
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == len(PLOTS)
        assert min(widths) > 0
        canvas = page.locator("canvas").first
        canvas.scroll_into_view_if_needed()

        def pixels() -> str:
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            return str(canvas.evaluate("canvas => canvas.toDataURL()"))

        seen = [pixels()]
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 160, box["y"] + 130, steps=4)
        page.mouse.up()
        seen.append(pixels())
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(100)
        seen.append(pixels())
        canvas.press("ArrowLeft")
        seen.append(pixels())
        canvas.press("-")
        seen.append(pixels())
        page.get_by_label("element", exact=True).check()
        seen.append(pixels())
        assert page.locator("#key-element").is_visible()
        assert not page.locator("#key-error").is_visible()
        page.get_by_label("error of force").check()
        canvas.press("0")
        # as it was at first; all others were different
        assert pixels() == seen[0]
        assert len(set(seen)) == len(seen)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        browser.close()
    assert troubles == []
