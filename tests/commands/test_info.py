import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import MODEL, refused, water
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli
from pyg_nnp.commands.info import describe
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.checkpoint import read_saved, sealed

KEPT = ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core", "AtomicAffine", "EnergyReduce")


def test_info(trained_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store,) = Path("out").glob("processed_dataset_*")
    for what, expected in {
        MODEL: [
            "SchNet with",
            "trained on H, C, O",
            "compositions: C2H6, CH4, H2O",
            "27.211386 eV",
            "cutoff_sr 4.0",
            "trained on dataset.pkl",
        ],
        f"{MODEL}/last.safetensors": ["last.safetensors: SchNet"],
        "dataset.pkl": ["pickle", "coordinates: (3, 3) float64  probably Ra, positions"],
        str(store): ["24 frames, undamaged", "E: (24,), total energy, in the file: energy"],
    }.items():
        assert cli.main(["info", what]) == 0
        text = capsys.readouterr().out
        assert all(part in text for part in expected), text
    assert "In it are: FF01-SchNet, processed_dataset_" in refused(capsys, "info", "out")
    assert "this is no data file of a known format" in refused(capsys, "info", "train.yaml")


def test_info_on_a_model_needs_no_torch(trained_folder: Path) -> None:
    """It takes seconds to import, and PyTorch Geometric as long again."""
    program = (
        f"import sys; from pyg_nnp.commands import cli; code = cli.main(['info', '{MODEL}']); "
        "sys.exit(code or 'torch' in sys.modules or 'torch_geometric' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{describe(Path(MODEL))}\n"


def rewrite(path: Path, new: Path, **changes: object) -> Path:
    """Write a model anew with another description, whose digest is right; what is None is left out."""
    description, tensors = read_saved(path)
    description = {**description, **changes, "name": new.name}
    del description["sha256"]
    content, _ = sealed({key: value for key, value in description.items() if value is not None}, tensors)
    new.write_bytes(content)
    return new


def test_info_on_a_model_of_an_older_version(trained_folder: Path, tmp_path: Path) -> None:
    """It does not say outputs and number of parameters, which its layers do."""
    best = Path(MODEL) / "best.safetensors"
    older = rewrite(best, tmp_path / "older.safetensors", outputs=None, num_parameters=None)
    assert describe(older) == describe(best).replace(str(best), str(older))


def test_info_on_charges_that_make_no_difference(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of energies that no layer with the total charge leads to; also as an older version wrote it."""
    frames = write_toy(folder)
    for number, frame in enumerate(frames):
        frame["total_charge"] = number % 2
    (folder / "dataset.pkl").write_bytes(pickle.dumps(frames))
    document = toy_config(Trainer__max_epochs=1, Metrics={"rmse": {"E": 1}}, Modelhub__FF01__loss={"rmse": {"E": 1}})
    model, hub = document["Modelhub"]["FF01"], document["Datahub"]
    model["layers"] = [entry for entry in model["layers"] if entry["name"] in KEPT]
    hub["targets"], hub["transforms"] = {"E": "energy"}, {"atomic_energy": "fit"}
    write_config(folder, document)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    assert "makes no difference to what FF01 predicts for E: no layer" in " ".join(capsys.readouterr().err.split())
    best = Path(MODEL) / "best.safetensors"
    said = "total charges 0, 1, which make no difference to E: no layer that they come from reads Q"
    assert said in describe(best)
    older = rewrite(best, tmp_path / "older.safetensors", blind_to_charge=None)
    assert describe(older) == describe(best).replace(str(best), str(older))
    atoms = water(1)
    atoms.calc = PotentialCalculator(older)
    with pytest.warns(UserWarning, match="trained on total charges 0, 1, which make no difference to E"):
        atoms.get_potential_energy()


def test_info_on_damaged_models(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = Path(MODEL) / "best.safetensors"
    content = bytearray(best.read_bytes())
    content[-1] ^= 1
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(content)
    assert "damaged: its content is not what was written" in refused(capsys, "info", str(cut))
    cut.write_text("22\n\nH 0 0 0\n")
    assert "cut.safetensors: this is no saved potential, or" in refused(capsys, "info", str(cut))
    for changes in ({"layers": [1, None]}, {"elements": ["x"]}, {"architecture": None}, {"build_params": 1}):
        forged = rewrite(best, tmp_path / "forged.safetensors", **changes)
        assert "forged.safetensors: the saved potential is damaged" in refused(capsys, "info", str(forged))
