"""Steps and predictions as CUDA graphs: recorded once, then run without the time that starting kernels takes."""

import logging
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_nnp.fields import FIELDS
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import backend
from pyg_nnp.layers import Distance, Force, RangeSeparation
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.filter_table import tensors_of, unchanged
from pyg_nnp.potential.padding import NUM_PADDING, capacity, filled_up, pairs_within, put_pairs, with_given_pairs
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import PAIRS, filter_tables

log = logging.getLogger(__name__)

Predict = Callable[[Data], Fields]
# what is recorded: it predicts for a batch, and may go on to compute gradients
Function = Callable[[Predict, Data], Fields]
# runs a function of no arguments, and returns what it returned, and a function that computes that anew in its place
Record = Callable[[Callable[[], Fields]], tuple[Fields, Callable[[], None]]]

# each keeps the memory of a step; more shapes than these are not worth the time to record them
_MOST_RECORDINGS = 8
_TOLERANCE = 1e-3
_HIDDEN = ("batch", "edge_index", "ptr")  # from the recorded function


def record_cuda_graph(function: Callable[[], Fields]) -> tuple[Fields, Callable[[], None]]:
    """Record all that a function starts on the GPU; it may not wait for any of it."""
    # compiles the kernels and lets libraries allocate, neither of which can be recorded
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # a stream of this device, and the present one again afterwards, where recording fails, too
    with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, stream=aside):
        outputs = function()
    return outputs, graph.replay


@dataclass(frozen=True)
class _Recording:
    inputs: list[Tensor]  # without the padding, and without the pairs
    edge_index: Tensor
    outputs: Fields
    run: Callable[[], None]


class CudaGraphs:
    """A function of a potential and a batch, recorded as a CUDA graph for the shapes that come up a second time.

    Numbers of molecules and atoms have to repeat. The pairs within the cutoff, whose number differs from batch to
    batch, are found before and filled up with one pair of two padding atoms, a molecule of its own at a distance where
    the filters have all but gone. Everything else, and what cannot be recorded or comes out different, is computed as
    usual: potentials with layers of a user's own, whose Python code a recording would leave out, and other devices.

    Args:
        potential: what predicts.
        function: called with ``predict`` and the batch, of which it sees all fields but ``batch`` and ``edge_index``;
            it returns tensors and changes nothing.
        record: how to record.
        device: type of the devices where it is recorded.
        copies: what is returned has memory of its own; else the next call may overwrite it.
    """

    def __init__(
        self,
        potential: Potential,
        function: Function = operator.call,
        record: Record = record_cuda_graph,
        device: str = "cuda",
        copies: bool = True,
    ) -> None:
        self._copies = copies
        self._potential, self._function, self._record, self._device = potential, function, record, device
        self._usable, self._tables = _can_be_recorded(potential), filter_tables(potential)
        self.forget()

    def __getstate__(self) -> dict[str, Any]:
        """Leave recordings out of copies, which belong to this process and these parameters."""
        return {**self.__dict__, "_known": set(), "_recordings": {}}

    def forget(self) -> None:
        """Let go of the memory of all recordings."""
        self._known: set[int] = set()  # hashes, since shapes may never come up again
        self._recordings: dict[Any, _Recording] = {}

    def __call__(self, batch: Data) -> Fields:
        """Return what the function returns."""
        potential = self._potential
        # pairs that cross the cell have more than their atoms to be recorded
        if not (self._usable and potential.device.type == self._device) or "cell" in batch:
            return self._function(potential, batch)
        # what is kept has to be of use outside of inference mode, too
        with torch.inference_mode(False):
            for table in self._tables:
                table.update()
            given = potential.inputs_of(batch)
            pairs = pairs_within(given, potential.reach)  # (2, P)
            seen = {name: value for name, value in batch if isinstance(value, Tensor) and name not in _HIDDEN}
            inputs = [*(value for name, value in given.items() if name != "edge_index"), *seen.values()]
            # a recording reads parameters where they were
            places = tuple(value.data_ptr() for value in tensors_of(potential))
            versions = potential.training, *(table.version for table in self._tables)
            shapes = ((value.shape, value.dtype, value.device) for value in inputs)
            key = versions, places, capacity(pairs.shape[1]), *given, *seen, *shapes
            if key not in self._recordings and not self._is_recorded(key, given, pairs, seen, batch):
                return self._function(potential, batch)
            recording = self._recordings[key]
            copy_all(inputs, recording.inputs)
            put_pairs(pairs, recording.edge_index)
            recording.run()
            if not self._copies:
                return recording.outputs
            copies = {name: torch.empty_like(value) for name, value in recording.outputs.items()}
            copy_all(recording.outputs.values(), copies.values())
            return copies

    def _is_recorded(self, key: Any, given: Fields, pairs: Tensor, seen: Fields, batch: Data) -> bool:
        """Record a shape that comes up again, if there is room for it, and say whether that was done."""
        if hash(key) not in self._known:
            self._known.add(hash(key))
            return False
        if backend(self._device, self._potential.dtype) is reference:  # which waits, unlike that of the tensors
            self._usable = False
            return False
        if len(self._recordings) == _MOST_RECORDINGS:
            # those from before tables changed or parameters moved are of no use any more
            self._recordings = {k: recording for k, recording in self._recordings.items() if k[:2] == key[:2]}
            if len(self._recordings) == _MOST_RECORDINGS:
                return False
        with torch.cuda.device_of(batch.Ra):  # type: ignore[no-untyped-call]
            recording = self._recorded(given, pairs, seen, batch)
        if recording is None:
            self._usable = False
            self.forget()
            return False
        self._recordings[key] = recording
        return True

    def _recorded(self, given: Fields, pairs: Tensor, seen: Fields, batch: Data) -> _Recording | None:
        """Record the function, or say why not."""
        filled = filled_up(given, pairs, self._potential.reach)
        visible = Data(**{name: value.clone() for name, value in seen.items()}, num_nodes=len(seen["Za"]))
        inner, tables = with_given_pairs(self._potential), self._tables
        counts = {"atom": len(filled["Za"]) - NUM_PADDING, "graph": len(filled["N"]) - 1}

        def predict(_: Data) -> Fields:
            with unchanged(tables):
                predicted = inner.predict(filled)
            return {name: value[: counts[FIELDS[name].level]] for name, value in predicted.items()}

        try:
            outputs, run = self._record(lambda: self._function(predict, visible))
        except RuntimeError as error:
            log.warning("A step could not be recorded as a CUDA graph (%s): slower.", error)
            return None
        for value in outputs.values():
            value.detach().fill_(math.nan)  # so that it is noticed if nothing is computed anew
        run()
        expected = self._function(self._potential, batch)
        wrong = [name for name, value in expected.items() if not _agree(outputs[name], value)]
        if wrong:
            log.warning("The CUDA graph of a step differs from the step in %s: not used.", ", ".join(wrong))
            return None
        log.debug("Recorded a CUDA graph: %d atoms, %d edges.", len(filled["Za"]), filled["edge_index"].shape[1])
        fronts = [filled[name][: len(value)] for name, value in given.items() if name != "edge_index"]
        return _Recording([*fronts, *(visible[name] for name in seen)], filled["edge_index"], outputs, run)


def _can_be_recorded(potential: Potential) -> bool:
    layers = [cast(Layer, module) for module in potential.layers]
    separations = [layer for layer in layers if isinstance(layer, RangeSeparation)]
    # Force reads pairs that are farther apart, too, but its energy does not depend on them
    others = [layer for layer in layers if not isinstance(layer, Distance | RangeSeparation | Force)]
    return (
        all(_is_known(module) for module in potential.modules())
        and all(layer.is_on_device for layer in layers)
        and [layer.reach for layer in separations] == [potential.reach]
        and all(PAIRS.isdisjoint(layer.reads) for layer in others)
    )


def _is_known(module: nn.Module) -> bool:
    # hooks would run while it is recorded, and never again
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    return not hooks and type(module).__module__.split(".")[0] in ("pyg_nnp", "torch", "torch_geometric")


def _agree(found: Tensor, expected: Tensor) -> bool:
    # gradients of a part of the parameters may be as small as rounding
    scale = expected.abs().max() if expected.numel() else expected.sum()
    return bool(((found - expected).abs() <= _TOLERANCE * scale + torch.finfo(expected.dtype).tiny).all())


def copy_all(sources: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    """Copy tensors into others of the same types, with one start of a kernel for each type."""
    groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for source, target in zip(sources, targets, strict=True):
        from_, to = groups[source.dtype]
        from_.append(source.detach())
        to.append(target.detach())
    for from_, to in groups.values():
        torch._foreach_copy_(to, from_)
