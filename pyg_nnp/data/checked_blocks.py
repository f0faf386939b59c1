"""The frames of the data files of a configuration, checked, as a store takes them."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from pyg_nnp.data.formats.readers import columns_of, read_blocks
from pyg_nnp.data.formats.stated_units import stated_units
from pyg_nnp.data.frame_checks import Checks, refuse_unmapped_charge
from pyg_nnp.data.frame_weights import FrameWeights
from pyg_nnp.data.references import IsolatedAtoms
from pyg_nnp.data.source import ArrayTypes, Block, DataSource, FileStart, add_types, begin_file
from pyg_nnp.errors import DataError, did_you_mean
from pyg_nnp.fields import FAMILY, TARGETS, WEIGHTS
from pyg_nnp.runtime.logs import NOTICE

if TYPE_CHECKING:
    from pyg_nnp.config import Config

log = logging.getLogger(__name__)


class CheckedBlocks:
    """The frames of data files in blocks, and what is known when all were read.

    Attributes:
        starts: the files, and where each begins.
        columns: what the files have.
        isolated: isolated atoms that give reference energies; None where they are not asked for.

    Args:
        config: the configuration.
        energies: atomic number -> reference energy, where a file gives them.
    """

    def __init__(self, config: "Config", energies: Mapping[int, float] | None) -> None:
        self._hub, self._energies, self._bohr = config.Datahub, energies, config.units.bohr
        self._sources = {**self._hub.features, **self._hub.targets}
        family = config.Trainer.Splitter.group
        self._read = self._sources | ({FAMILY: family} if family else {})
        self._without_charge = 0
        self.starts: list[FileStart] = []
        self.columns: ArrayTypes = {}
        self._source = DataSource(str(self._hub.path), self._read, starts=self.starts)
        with_isolated = self._hub.transforms.atomic_energy == "isolated"
        self.isolated = IsolatedAtoms(self._source) if with_isolated else None

    def check_statements(self) -> None:
        """Refuse, before all is read, files that say different units or have a total charge that is not read.

        Raises:
            DataError: they do.
        """
        hub = self._hub
        if len(hub.path.expanded()) > 1:
            stated_units(hub.path, hub.data_format, self._sources)
        if "Q" not in self._sources:
            refuse_unmapped_charge(self._source, columns_of(hub.path, hub.data_format, most=1))
            log.info("%s: no total charge Q is given; it is taken to be 0 for all frames", hub.path)

    def __iter__(self) -> Iterator[Block]:
        """Yield all blocks.

        Raises:
            DataError: something in a file is not right.
        """
        hub, source = self._hub, self._source
        check, weigh = Checks(source, self._bohr, hub.allow_missing), FrameWeights(source, hub.group_weights)
        nowhere, periodic = set(hub.allow_missing), "cell" not in self._sources
        optional = {*hub.allow_missing, *WEIGHTS, *(TARGETS if self.isolated else ())}
        for block in read_blocks(hub.path, hub.data_format, self._read, optional=optional):
            begin_file(self.starts, block)
            nowhere = {name for name in nowhere if np.isnan(block.arrays[name]).all()}
            self._complete(block)
            weigh(block)
            check(block)
            periodic = periodic or bool(block.arrays.get("pbc", np.zeros(1)).any())
            if self._energies is not None:
                self._check_atomic_energies(block, self._energies)
            if hub.transforms.negative_gradient:
                block.arrays["Fa"] = np.negative(block.arrays["Fa"])
            add_types(self.columns, block.columns)
            yield block
        weigh.report()
        if self._without_charge:
            found = f"is missing in {self._without_charge} frames: it is taken to be 0."
            log.log(NOTICE, "%s", source.message("Q", found))
        if not periodic:
            raise self._mistaken("cell", "makes no frame periodic.", "Correct the name, or take it out.")
        for name in sorted(nowhere):
            advice = f"Correct the name, or take {name} out of the {'targets' if name in TARGETS else 'features'}."
            raise self._mistaken(name, "is missing in all frames.", advice)
        # damage does no harm in arrays that are not read
        with suppress(DataError):
            self.columns = self.columns or columns_of(hub.path, hub.data_format)
        if self.isolated is not None:
            self.isolated.check()

    def _complete(self, block: Block) -> None:
        """Fill in what the file does not say, and turn the families into numbers."""
        if FAMILY in block.arrays:
            block.arrays[FAMILY] = family_numbers(block.arrays[FAMILY])
        if "Q" not in self._sources:
            refuse_unmapped_charge(self._source, block.columns)
            block.arrays["Q"] = np.zeros(block.num_frames)
        elif "Q" in self._hub.allow_missing:
            is_missing = np.isnan(block.arrays["Q"])
            self._without_charge += int(is_missing.sum())
            block.arrays["Q"] = np.where(is_missing, 0.0, block.arrays["Q"])
        if self.isolated is not None:
            self.isolated(block)

    def _mistaken(self, name: str, found: str, advice: str) -> DataError:
        source, known = self._sources[name], columns_of(self._hub.path, self._hub.data_format)
        near = "" if source in known else did_you_mean(source, known)
        return DataError(self._source.message(name, f"{found}{near} {advice}"))

    def _check_atomic_energies(self, block: Block, energies: Mapping[int, float]) -> None:
        Za = block.arrays["Za"]
        known = np.isin(Za, list(energies))
        if not known.all():
            atom = int(np.flatnonzero(~known)[0])
            frame = int(np.searchsorted(np.cumsum(block.arrays["N"]), atom, side="right"))
            raise DataError(
                f"{self._hub.transforms.atomic_energy}: there is no energy for {chemical_symbols[Za[atom]]}, which "
                f"{self._source.frames([block.first + frame])} of {self._source.file} has. Add a line for it."
            )


def family_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return, (G,), a number for each of (G,) texts: the first eight bytes of its SHA-256.

    Nothing has to be kept from block to block. That two of 10⁷ families have the same number, and so come into the
    same part, has a probability of 3e-6.
    """
    different, which = np.unique(values, return_inverse=True)
    digests = b"".join(hashlib.sha256(str(value).encode()).digest()[:8] for value in different)
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)[which.reshape(-1)]
