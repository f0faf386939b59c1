"""Warnings of systems that a potential was not trained on, as TorchScript."""

import math
import warnings

import torch
from ase.data import chemical_symbols
from ase.formula import Formula
from torch import Tensor, nn

from pyg_nnp.inference.extrapolation import CLOSER, FARTHER, TOO_CLOSE, unknown_compositions
from pyg_nnp.potential.description import TrainingDomain

_ELEMENTS = len(chemical_symbols)


class PropertiesWithWarnings(nn.Module):
    """Energies and charges of atoms; warns once of each, compositions, shorter and longer distances not in training.

    Args:
        properties: recorded :class:`pyg_nnp.inference.engines.torchscript.AtomicProperties`.
        domain: of the potential.
        length: its unit [Å].
    """

    def __init__(self, properties: torch.jit.ScriptModule, domain: TrainingDomain, length: float) -> None:
        super().__init__()
        self.properties, self.length = properties, length
        self.of_composition = unknown_compositions(domain, ["another composition"])
        known = domain.compositions if self.of_composition else ()
        counts = torch.zeros(len(known), _ELEMENTS, dtype=torch.long)
        for row, name in zip(counts, known, strict=True):
            for symbol, count in Formula(name.removesuffix(" (periodic)")).count().items():
                row[chemical_symbols.index(symbol)] = count
        self.counts = nn.Buffer(counts)  # (K, 119)
        self.periodic = nn.Buffer(torch.tensor([name.endswith(" (periodic)") for name in known], dtype=torch.bool))
        shortest = torch.zeros(_ELEMENTS, _ELEMENTS, dtype=torch.float64)
        for (Z1, Z2), distance in domain.shortest_distances.items():
            shortest[Z1, Z2] = shortest[Z2, Z1] = length * distance
        self.shortest = nn.Buffer(shortest)  # (119, 119) [Å]
        self.closer, self.farther, self.too_close, self.symbols = CLOSER, FARTHER, TOO_CLOSE, list(chemical_symbols)
        self.looks_at_composition = bool(known)
        self.looks_at_closer = self.looks_at_farther = bool(domain.shortest_distances)

    def forward(
        self, Ra: Tensor, Za: Tensor, Q: Tensor, edge_index: Tensor, cell: Tensor, Tij: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what the properties are; see there."""
        energies, charges = self.properties(Ra, Za, Q, edge_index, cell, Tij)
        if bool(energies.isfinite().all()):
            self.compare_composition(Za, bool(cell.any()))
            if self.looks_at_closer or self.looks_at_farther:
                R, h = Ra.detach(), cell.detach()[0]  # (A, 3), (3, 3)
                V = R.index_select(0, edge_index[0]) - R.index_select(0, edge_index[1]) + Tij.to(R.dtype) @ h  # (E, 3)
                self.compare_distances(Za, edge_index, self.length * V.square().sum(dim=1).sqrt())  # (E,)
        return energies, charges

    def compare_composition(self, Za: Tensor, is_periodic: bool) -> None:
        """Warn of (A,) atomic numbers, once."""
        if self.looks_at_composition:
            counts = torch.bincount(Za, minlength=self.counts.shape[1])  # (119,)
            if is_periodic:
                divisor, present = 0, counts[counts > 0]  # (K,) of the elements that it has
                for k in range(present.shape[0]):
                    divisor = math.gcd(divisor, int(present[k]))
                counts = counts // divisor
            is_same = (self.counts == counts).all(dim=1) & (self.periodic == is_periodic)  # (K,)
            if not bool(is_same.any()):
                self.looks_at_composition = False
                warnings.warn(self.of_composition, stacklevel=2)

    def compare_distances(self, Za: Tensor, edge_index: Tensor, r: Tensor) -> None:
        """Warn of (E,) lengths of (2, E) edges [Å], once of a shorter one and once of longer ones."""
        if r.numel() > 0:
            known = self.shortest[Za[edge_index[0]], Za[edge_index[1]]]  # (E,)
            ratios = torch.where(known > 0, r / known, math.inf)  # (E,)
            e = int(ratios.argmin())
            nearest = float(ratios[e])
            is_closer = self.looks_at_closer and nearest < self.closer
            is_farther = self.looks_at_farther and self.farther < nearest < math.inf
            if is_closer or is_farther:
                text = self.too_close
                if is_closer:
                    self.looks_at_closer = False
                else:
                    self.looks_at_farther = False
                    text = "no atoms are as near as in the training data (1.89 times as far: Bohr taken for Angstrom)"
                pair = self.symbols[int(Za[edge_index[0, e]])] + "-" + self.symbols[int(Za[edge_index[1, e]])]
                found, there = int(100 * float(r[e]) + 0.5), int(100 * float(known[e]) + 0.5)
                warnings.warn(f"{text}: {pair} {found} pm ({there} pm there).", stacklevel=2)
