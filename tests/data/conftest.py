"""A few molecules by hand, as frames, as a store, and as a configuration that reads them."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.store.writer import write_store

Frame = dict[str, Any]
HASH = "0123456789abcdef"
SOURCES = {"N": "n", "Ra": "xyz", "Za": "z", "Q": "q", "E": "energy", "Fa": "grad", "Qa": "mulliken", "M2": "dip"}
SOURCES |= {"weight": "config_weight", "group": "config_type"}


def make_frame(Za: list[int], Q: float = 0.0, seed: int = 0) -> Frame:
    """Return a frame under standard names, atoms 1.5 apart along a line, give or take."""
    rng = np.random.default_rng([seed, *Za])
    n = len(Za)
    Ra = np.arange(n)[:, None] * [1.5, 0.0, 0.0] + rng.uniform(-0.2, 0.2, (n, 3))
    labels = {
        "E": rng.normal() - 100.0,
        "Fa": rng.normal(size=(n, 3)),
        "Qa": rng.normal(size=n),
        "M2": rng.normal(size=3),
    }
    return {"N": n, "Ra": Ra, "Za": np.array(Za), "Q": Q, **labels}


def as_arrays(frames: list[Frame]) -> dict[str, np.ndarray]:
    """Put frames one after the other, as a block has them."""
    join = {name: np.concatenate if name in ("Ra", "Za", "Fa", "Qa") else np.array for name in frames[0]}
    return {name: join[name]([frame[name] for frame in frames]) for name in frames[0]}


def save_store(
    folder: Path, frames: list[Frame], *, share: bool = True, energies: dict[int, float] | None = None
) -> Path:
    """Write a store, frame by frame."""
    with write_store(
        folder, store_hash=HASH, sources=SOURCES, options={}, share=share, atomic_energies=energies
    ) as writer:
        for frame in frames:
            writer.append(as_arrays([frame]))
    return folder


@pytest.fixture
def frames() -> list[Frame]:
    """Water, a lone helium atom between two molecules, a hydroxide ion, a lone sodium ion at the end."""
    return [make_frame([8, 1, 1]), make_frame([2]), make_frame([8, 1], -1.0), make_frame([11], 1.0)]


@pytest.fixture
def waters() -> list[Frame]:
    """Five frames of one molecule."""
    return [make_frame([8, 1, 1], seed=seed) for seed in range(5)]


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Make a store of frames."""

    def make(frames: list[Frame], **options: Any) -> Path:
        return save_store(tmp_path / f"store_{len(list(tmp_path.iterdir()))}", frames, **options)

    return make


@pytest.fixture(params=[True, False], ids=["in memory", "from the store"])
def open_dataset(make_store: Callable[..., Path], request: pytest.FixtureRequest) -> Callable[..., MoleculeDataset]:
    """Make a data set of frames."""

    def open_it(frames: list[Frame], dtype: torch.dtype = torch.float32, **options: Any) -> MoleculeDataset:
        return MoleculeDataset(make_store(frames, **options), dtype, in_memory=request.param)

    return open_it


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """Make a configuration that reads ``data.pkl`` or another file, with options of Datahub to change."""

    def make(bohr_in_r: float = 0.529177, **datahub: Any) -> Config:
        hub = {
            "data_path": str(tmp_path / "data.pkl"),
            "data_format": "pickle",
            "features": {name: SOURCES[name] for name in ("N", "Ra", "Za", "Q")},
            "targets": {name: SOURCES[name] for name in ("E", "Fa", "Qa", "M2")},
        }
        model = {
            "architecture": "SchNet",
            "build_params": {"Bohr_in_R": bohr_in_r},
            "layers": [{"name": "Core"}],
            "loss": {"rmse": {"Q": 1.0}},
        }
        document = {"Datahub": hub | datahub, "Modelhub": {"internal_FFs": {"FF01": model}}}
        return config_from_dict(document | {"Metrics": {"rmse": {"Q": 1.0}}})

    return make


@pytest.fixture
def write_pickle(tmp_path: Path) -> Callable[..., Path]:
    """Pickle frames under their source names."""

    def write(frames: list[Frame], name: str = "data.pkl") -> Path:
        path = tmp_path / name
        path.write_bytes(pickle.dumps([{SOURCES[key]: value for key, value in frame.items()} for frame in frames]))
        return path

    return write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(params=["molecules", "molecules, nothing shared", "waters", "waters, nothing shared", "lone atoms"])
def dataset(
    request: pytest.FixtureRequest,
    frames: list[Frame],
    waters: list[Frame],
    open_dataset: Callable[..., MoleculeDataset],
) -> MoleculeDataset:
    kind, _, unshared = request.param.partition(", ")
    chosen = {"molecules": frames, "waters": waters, "lone atoms": [frames[1], frames[3]]}[kind]
    return open_dataset(chosen, share=not unshared)
