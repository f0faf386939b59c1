"""Steps and predictions as CUDA graphs: recorded once, then run without the time that starting kernels takes."""

import logging
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.geometry import lengths, pair_vectors
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import backend
from pyg_nnp.layers import Distance, Force, RangeSeparation
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.filter_table import tensors_of, unchanged
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import PAIRS, filter_tables

log = logging.getLogger(__name__)

Predict = Callable[[Data], Fields]
# what is recorded: it predicts for a batch, and may go on to compute gradients
Function = Callable[[Predict, Data], Fields]
# runs a function of no arguments, and returns what it returned, and a function that computes that anew in its place
Record = Callable[[Callable[[], Fields]], tuple[Fields, Callable[[], None]]]

_NUM_PADDING = 2  # atoms
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
    inputs: list[Tensor]
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
    """

    def __init__(
        self,
        potential: Potential,
        function: Function = operator.call,
        record: Record = record_cuda_graph,
        device: str = "cuda",
    ) -> None:
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
        """Return what the function returns, in memory of its own."""
        potential = self._potential
        if not (self._usable and potential.device.type == self._device):
            return self._function(potential, batch)
        # what is kept has to be of use outside of inference mode, too
        with torch.inference_mode(False):
            for table in self._tables:
                table.update()
            given = filled_up(potential.inputs_of(batch), potential.reach)
            seen = {name: value for name, value in batch if isinstance(value, Tensor) and name not in _HIDDEN}
            inputs = [*given.values(), *seen.values()]
            # a recording reads parameters where they were
            places = tuple(value.data_ptr() for value in tensors_of(potential))
            versions = potential.training, *(table.version for table in self._tables)
            key = versions, places, *given, *seen, *((v.shape, v.dtype, v.device) for v in inputs)
            if key not in self._recordings and not self._is_recorded(key, given, seen, batch):
                return self._function(potential, batch)
            recording = self._recordings[key]
            for kept, value in zip(recording.inputs, inputs, strict=True):
                kept.copy_(value)
            recording.run()
            return {name: value.clone() for name, value in recording.outputs.items()}

    def _is_recorded(self, key: Any, given: Fields, seen: Fields, batch: Data) -> bool:
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
            recording = self._recorded(given, seen, batch)
        if recording is None:
            self._usable = False
            self.forget()
            return False
        self._recordings[key] = recording
        return True

    def _recorded(self, given: Fields, seen: Fields, batch: Data) -> _Recording | None:
        """Record the function, or say why not."""
        filled = {name: value.clone() for name, value in given.items()}
        visible = Data(**{name: value.clone() for name, value in seen.items()}, num_nodes=len(seen["Za"]))
        inner, tables = with_given_pairs(self._potential), self._tables
        counts = {"atom": len(filled["Za"]) - _NUM_PADDING, "graph": len(filled["N"]) - 1}

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
        kept = [*filled.values(), *(visible[name] for name in seen)]
        return _Recording(kept, outputs, run)


def _can_be_recorded(potential: Potential) -> bool:
    layers = [cast(Layer, module) for module in potential.layers]
    separations = [layer for layer in layers if isinstance(layer, RangeSeparation)]
    # Force reads pairs that are farther apart, too, but its energy does not depend on them
    others = [layer for layer in layers if not isinstance(layer, Distance | RangeSeparation | Force)]
    return (
        all(_is_known(module) for module in potential.modules())
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


def filled_up(inputs: Fields, reach: float) -> Fields:
    """Return complete inputs with padding atoms, and with the pairs within ``reach`` [length], up to a capacity.

    ``edge_index`` has the pairs j -> i, and then the same pairs reversed.
    """
    Ra, Za, N, Q, molecule, edges = (inputs[name] for name in ("Ra", "Za", "N", "Q", "batch", "edge_index"))
    pairs = edges[:, edges[0] > edges[1]]  # (2, P)
    # in the precision in which the tables of filters end there
    pairs = pairs[:, lengths(pair_vectors(Ra, pairs).to(Q.dtype)) < reach]  # (2, P_sr)
    padding = torch.arange(_NUM_PADDING, device=Za.device)
    # at least one, so that padding atoms are no atoms without neighbors
    missing = capacity(pairs.shape[1] + 1) - pairs.shape[1]
    pairs = torch.cat((pairs, (padding + len(Za)).flip(0)[:, None].expand(-1, missing)), dim=1)  # (2, capacity)
    place = torch.zeros_like(Ra[:1]).expand(_NUM_PADDING, -1).clone()
    place[:, 0] = padding * ((1 - 1e-4) * reach)
    return {
        "Ra": torch.cat((Ra, place)),
        "Za": torch.cat((Za, Za[:1].expand(_NUM_PADDING))),
        "N": torch.cat((N, torch.full_like(N[:1], _NUM_PADDING))),
        "Q": torch.cat((Q, torch.zeros_like(Q[:1]))),
        "batch": torch.cat((molecule, torch.full_like(molecule[:1], len(N)).expand(_NUM_PADDING))),
        "edge_index": torch.cat((pairs, pairs.flip(0)), dim=1),
    }


def capacity(pairs: int) -> int:
    """Return how many pairs a recording has room for: up to 3 % more, but steps of 32."""
    step: int = max(32, 2 ** (pairs.bit_length() - 6))
    return -(-pairs // step) * step


class _GivenPairs(Distance):
    """``Distance`` and ``RangeSeparation`` for a list of P pairs within the cutoff, and then the same reversed."""

    writes = tuple(dict.fromkeys((*Distance.writes, *RangeSeparation.writes)))

    def forward(self, Ra: Tensor, edge_index: Tensor) -> Fields:
        pair_index = edge_index[:, : edge_index.shape[1] // 2]  # (2, P)
        Vij = pair_vectors(Ra, pair_index).to(self.precision.dtype)  # (P, 3)
        Dij = lengths(Vij)
        of_pairs = {"pair_index": pair_index, "Vij": Vij, "Dij": Dij}
        return {**of_pairs, "edge_index_sr": edge_index, "Vij_sr": Vij, "Dij_sr": Dij}


def with_given_pairs(potential: Potential) -> Potential:
    """Return the same layers, modules and parameters, for neighbor lists that hold what is within the cutoff."""
    layers = [cast(Layer, module) for module in potential.layers if not isinstance(module, Distance)]
    layers = [_GivenPairs().to(potential.dtype) if isinstance(layer, RangeSeparation) else layer for layer in layers]
    # without elements nothing is checked
    inner = Potential(layers, {"untrained": potential.spec.get("untrained", ())})
    inner.atomic_energies, inner.energy_shift = potential.atomic_energies, potential.energy_shift
    inner.train(potential.training)
    return inner
