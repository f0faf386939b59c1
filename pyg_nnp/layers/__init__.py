"""The layers that a potential is made of, under the names that the configuration uses."""

from pyg_nnp.layers.base import Core, Layer, RadialBasis
from pyg_nnp.layers.charge import AtomicCharge2Dipole, ChargeConservation, ElectrostaticEnergy
from pyg_nnp.layers.elements import AtomicAffine, RandomAtomEmbedding
from pyg_nnp.layers.energy import EnergyReduce, Force
from pyg_nnp.layers.geometry import Distance, GaussianSmearing, RangeSeparation
from pyg_nnp.layers.schnet import CFConv, SchNetCore, SchNetInteraction

LAYERS: dict[str, type[Layer]] = {
    "Distance": Distance,
    "RangeSeparation": RangeSeparation,
    "GaussianSmearing": GaussianSmearing,
    "RandomAtomEmbedding": RandomAtomEmbedding,
    "AtomicAffine": AtomicAffine,
    "ChargeConservation": ChargeConservation,
    "AtomicCharge2Dipole": AtomicCharge2Dipole,
    "ElectrostaticEnergy": ElectrostaticEnergy,
    "EnergyReduce": EnergyReduce,
    "Force": Force,
}
CORES: dict[str, type[Core]] = {"SchNet": SchNetCore}

__all__ = [
    "CORES",
    "LAYERS",
    "AtomicAffine",
    "AtomicCharge2Dipole",
    "CFConv",
    "ChargeConservation",
    "Core",
    "Distance",
    "ElectrostaticEnergy",
    "EnergyReduce",
    "Force",
    "GaussianSmearing",
    "Layer",
    "RadialBasis",
    "RandomAtomEmbedding",
    "RangeSeparation",
    "SchNetCore",
    "SchNetInteraction",
]
