"""Steps and predictions that are recorded, with a stand-in for CUDA graphs that computes anew in the same memory."""

import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from molecules import core_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch, Data
from toy import toy_config, write_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import FieldError
from pyg_nnp.layers.base import Fields
from pyg_nnp.layers.cores import SchNetCore
from pyg_nnp.potential.cuda_graphs import CudaGraphs
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.step import Gradients

# what makes a program wait for a GPU, and cannot be recorded; an index may be a mask
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "is_nonzero", "equal", "item")


class NothingWaits(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.strip("_")
        masks = [v for v in args[1] or () if isinstance(v, Tensor) and v.dtype == torch.bool] if name == "index" else []
        unsized = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        waits = masks or unsized or any(name.startswith(word.strip("_")) for word in WAITING)
        assert not waits, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


class Recorder:
    """Counts, and checks that what is recorded could be."""

    def __init__(self) -> None:
        self.recorded = self.runs = 0

    def __call__(self, function: Callable[[], Fields]) -> tuple[Fields, Callable[[], None]]:
        function()
        with NothingWaits():
            outputs = function()
        self.recorded += 1

        def run() -> None:
            self.runs += 1
            with NothingWaits():
                for name, value in function().items():
                    outputs[name].detach().copy_(value)

        return outputs, run


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoleculeDataset:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, names=("CH3CH2OH",))
    return MoleculeDataset.from_config(CONFIG, ".")


CONFIG = config_from_dict(toy_config(Modelhub__FF01__build_params__cutoff_sr=2.0, Trainer__dtype="float64"))
LOSS = CONFIG.Modelhub.internal_FFs["FF01"].loss
BATCHES = [list(range(first, first + 6)) for first in (0, 6, 12, 18)] + [[0, 1]]


def make(filters: str = "table", architecture: str = "SchNet") -> Potential:
    document = toy_config(Modelhub__FF01__build_params__cutoff_sr=2.0, Modelhub__FF01__architecture=architecture)
    # matrices reach the energy through a second interaction only
    core = next(entry for entry in document["Modelhub"]["FF01"]["layers"] if entry["name"] == "Core")
    core["params"] |= {"filters": filters, "num_interactions": 2 if architecture == "Cartesian" else 1}
    return pyg_nnp.build_potential(config_from_dict(document), "FF01").double()


def gradients(potential: Potential, compute: Callable[[Batch], float], batch: Batch) -> tuple[float, list[Tensor]]:
    loss = compute(batch)
    found = [parameter.grad for parameter in potential.parameters()]
    return loss, [torch.zeros(0) if gradient is None else gradient.clone() for gradient in found]


@pytest.mark.parametrize("filters", ["table", "exact"])
@pytest.mark.parametrize("core", ["SchNet", "Cartesian", "Cartesian in plain torch"])
def test_a_recorded_step_has_the_gradients_of_the_step(
    dataset: MoleculeDataset, core: str, filters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if core == "Cartesian in plain torch":
        monkeypatch.setattr("pyg_nnp.kernels.tensor_operators.fast", lambda x, family: family.reference)
    potential, recorder = make(filters, core.split()[0]).train(), Recorder()
    plain = Gradients(potential, potential.parameters(), LOSS)
    graphs = Gradients(potential, potential.parameters(), LOSS)
    graphs._compute = CudaGraphs(potential, graphs._compute._function, recorder, "cpu")
    for frames in BATCHES * 2:
        batch = dataset.batch(frames)
        loss, expected = gradients(potential, plain, batch)
        again, found = gradients(potential, graphs, batch)
        assert again == pytest.approx(loss, rel=1e-9)
        for a, b in zip(found, expected, strict=True):
            # 1e-8: what the filters leave of the padding atoms
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert 2 <= recorder.recorded < 5
    assert recorder.runs == recorder.recorded + 2 * len(BATCHES) - len(graphs._compute._known)


def test_a_recorded_step_takes_weights_that_change(dataset: MoleculeDataset) -> None:
    """As they are at each step, not as they were when it was recorded."""
    potential, recorder = make().train(), Recorder()
    weights = {"rmse": {"E": {"from": 0.0, "to": 5.0}, "Fa": {"from": 1.0, "to": 0.1}}, "huber_0.1": {"M2": 1.0}}
    batch, losses = dataset.batch(BATCHES[0]), []
    progress = iter(step / 5 for step in range(6) for _ in range(2))
    plain, graphs = (
        Gradients(potential, potential.parameters(), weights, progress=lambda: next(progress)) for _ in range(2)
    )
    graphs._compute = CudaGraphs(potential, graphs._compute._function, recorder, "cpu")
    for _ in range(6):
        loss, expected = gradients(potential, plain, batch)
        again, found = gradients(potential, graphs, batch)
        assert again == pytest.approx(loss, rel=1e-9)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        losses.append(loss)
    assert len(set(losses)) == 6
    assert recorder.recorded == 1
    assert recorder.runs == 6  # one of them to see whether the recording is right


def test_a_recorded_step_takes_the_labels_that_there_are(dataset: MoleculeDataset) -> None:
    """Which ones are missing differs from batch to batch, and so do the weights of frames."""
    potential, recorder = make().train(), Recorder()
    shares = {"E": 0.7, "Fa": 0.7, "Qa": 0.6, "M2": 0.5, "Q": 1.1}
    plain, graphs = (Gradients(potential, potential.parameters(), LOSS, mean_weights=shares) for _ in range(2))
    graphs._compute = CudaGraphs(potential, graphs._compute._function, recorder, "cpu")
    generator, losses = torch.Generator().manual_seed(0), []
    for frames in BATCHES * 2:
        batch = dataset.batch(frames)
        for name in ("E", "Fa", "Qa", "M2"):
            batch[name][torch.rand(batch[name].shape, generator=generator) < 0.3] = torch.nan
        batch.weight = torch.rand(len(frames), generator=generator).double()
        loss, expected = gradients(potential, plain, batch)
        again, found = gradients(potential, graphs, batch)
        assert again == pytest.approx(loss, rel=1e-9)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        losses.append(loss)
    assert len(set(losses)) == len(losses)
    assert recorder.runs > recorder.recorded >= 2


def test_recorded_predictions_are_the_predictions(dataset: MoleculeDataset) -> None:
    potential, recorder = make().eval(), Recorder()
    graphs = CudaGraphs(potential, record=recorder, device="cpu")
    for frames in BATCHES * 2:
        batch = dataset.batch(frames)
        found, expected = graphs(batch), potential(batch)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)
    assert recorder.runs > recorder.recorded >= 2
    # one molecule without a neighbor list
    frame = dataset[3]
    data = Data(Ra=frame.Ra, Za=frame.Za, N=frame.N, Q=frame.Q, num_nodes=len(frame.Za))
    for _ in range(3):
        torch.testing.assert_close(graphs(data)["Fa"], potential(data)["Fa"], rtol=1e-10, atol=1e-10)


def test_what_was_recorded_is_not_used_after_the_parameters_changed(dataset: MoleculeDataset) -> None:
    potential, recorder = make().eval(), Recorder()
    graphs, batch = CudaGraphs(potential, record=recorder, device="cpu"), dataset.batch([0, 1, 2])
    before = [graphs(batch)["E"] for _ in range(3)][-1]
    assert (recorder.recorded, recorder.runs) == (1, 3)
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter.mul_(1.1)
    for _ in range(3):
        torch.testing.assert_close(graphs(batch)["E"], potential(batch)["E"], rtol=1e-10, atol=1e-10)
    assert recorder.recorded == 2
    assert not torch.allclose(before, potential(batch)["E"], rtol=1e-10)


def test_a_training_keeps_what_it_recorded_over_its_evaluations(dataset: MoleculeDataset) -> None:
    potential, recorder = make(), Recorder()
    compute = Gradients(potential, potential.parameters(), LOSS)
    compute._compute = CudaGraphs(potential, compute._compute._function, recorder, "cpu")
    for _ in range(3):
        potential.train()
        compute(dataset.batch([0, 1, 2]))
        with torch.no_grad():
            for parameter in potential.parameters():
                parameter.mul_(1.0001)
        potential.eval()(dataset.batch([3]))
    assert recorder.recorded == 1


class Own(SchNetCore):
    pass


def test_layers_of_a_users_own_are_not_recorded(dataset: MoleculeDataset) -> None:
    potential, recorder = make().eval(), Recorder()
    layers = list(potential.layers)
    core = next(n for n, layer in enumerate(layers) if isinstance(layer, SchNetCore))
    layers[core] = Own(12, 10, 2.0, 1, 8).double()
    own = Potential(layers, potential.spec).eval()
    graphs, batch = CudaGraphs(own, record=recorder, device="cpu"), dataset.batch([0, 1])
    for _ in range(3):
        torch.testing.assert_close(graphs(batch)["E"], own(batch)["E"], rtol=0, atol=0)
    assert recorder.recorded == 0


def test_parameters_that_moved_are_not_read_where_they_were(dataset: MoleculeDataset) -> None:
    potential, recorder = make().train(), Recorder()
    compute = Gradients(potential, potential.parameters(), LOSS)
    compute._compute = CudaGraphs(potential, compute._compute._function, recorder, "cpu")
    batch = dataset.batch([0, 1, 2])
    for _ in range(3):
        compute(batch)
    for parameter in potential.parameters():
        parameter.data = parameter.data.clone()
    compute(batch)
    assert (recorder.recorded, recorder.runs) == (1, 3)


def test_shapes_that_there_is_no_room_for_are_computed(
    dataset: MoleculeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To record takes as long as several steps, so no recording is given up for another one."""
    monkeypatch.setattr("pyg_nnp.potential.cuda_graphs._MOST_RECORDINGS", 1)
    potential, recorder = make().eval(), Recorder()
    graphs = CudaGraphs(potential, record=recorder, device="cpu")
    batches = [dataset.batch(frames) for frames in ([0], [0, 1], [0, 1, 2])]
    for batch in batches * 4:
        torch.testing.assert_close(graphs(batch)["E"], potential(batch)["E"], rtol=1e-10, atol=1e-10)
    assert (recorder.recorded, recorder.runs) == (1, 4)
    # a recording reads parameters, but tables of filters are made once
    for parameters, expected in (
        (potential.parameters(), (1, 8)),
        (core_of(potential).interactions.parameters(), (2, 12)),
    ):
        with torch.no_grad():
            next(parameters).mul_(1.1)
        for batch in batches * 4:
            torch.testing.assert_close(graphs(batch)["E"], potential(batch)["E"], rtol=1e-10, atol=1e-10)
        assert (recorder.recorded, recorder.runs) == expected


def test_predictions_in_inference_mode_and_out_of_it(dataset: MoleculeDataset) -> None:
    potential, recorder = make().eval(), Recorder()
    graphs, batch = CudaGraphs(potential, record=recorder, device="cpu"), dataset.batch([0, 1])
    expected = potential(batch)["Fa"]
    with torch.inference_mode():
        for _ in range(3):
            made_there = batch.clone()
            torch.testing.assert_close(graphs(made_there)["Fa"], expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(graphs(batch)["Fa"], expected, rtol=1e-10, atol=1e-10)
    assert (recorder.recorded, recorder.runs) == (1, 4)


def test_copies_have_no_recordings(dataset: MoleculeDataset) -> None:
    potential = make().eval()
    graphs, batch = CudaGraphs(potential, record=Recorder(), device="cpu"), dataset.batch([0, 1])
    for _ in range(3):
        graphs(batch)
    copied = pickle.loads(pickle.dumps(graphs))
    torch.testing.assert_close(copied(batch)["E"], graphs(batch)["E"], rtol=1e-10, atol=1e-10)
    assert not copied._recordings


def test_recordings_go_with_what_made_them() -> None:
    potential = make().train()
    compute = Gradients(potential, potential.parameters(), LOSS)
    recordings = weakref.ref(compute._compute)
    del compute
    assert recordings() is None


def test_hooks_are_not_recorded(dataset: MoleculeDataset) -> None:
    potential, recorder, seen = make().eval(), Recorder(), []
    potential.layers[0].register_forward_hook(lambda *of_call: seen.append(len(seen)))
    graphs = CudaGraphs(potential, record=recorder, device="cpu")
    for _ in range(3):
        graphs(dataset.batch([0, 1]))
    assert recorder.recorded == 0
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("fault", ["fails", "differs", "does nothing"])
def test_what_cannot_be_recorded_is_computed(
    dataset: MoleculeDataset, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    def record(function: Callable[[], Fields]) -> tuple[Fields, Callable[[], None]]:
        if fault == "fails":
            raise RuntimeError("operation not permitted when stream is capturing")
        outputs = {name: value.detach().clone() for name, value in function().items()}

        def run() -> None:
            if fault == "differs":
                for name, value in function().items():
                    outputs[name].copy_(value + 1)

        return outputs, run

    potential = make().eval()
    graphs, batch = CudaGraphs(potential, record=record, device="cpu"), dataset.batch([0, 1])
    for _ in range(3):
        torch.testing.assert_close(graphs(batch)["Fa"], potential(batch)["Fa"], rtol=0, atol=0)
    messages = [record.getMessage() for record in caplog.records if "CUDA graph" in record.getMessage()]
    assert len(messages) == 1
    assert ("not permitted" if fault == "fails" else "differs from the step in E") in messages[0]


def test_a_missing_field_is_named(dataset: MoleculeDataset) -> None:
    graphs = CudaGraphs(make().eval(), record=Recorder(), device="cpu")
    with pytest.raises(FieldError, match="the data has no 'N'"):
        graphs(Data(Ra=torch.zeros(1, 3)))
