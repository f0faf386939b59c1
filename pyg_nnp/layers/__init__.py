"""The layers that a potential is made of, under the names that the configuration uses."""

from pyg_nnp.layers.affine import AtomicAffine
from pyg_nnp.layers.base import Core, Layer, RadialBasis
from pyg_nnp.layers.charge import AtomicCharge2Dipole, ChargeConservation
from pyg_nnp.layers.dispersion import Dispersion
from pyg_nnp.layers.electrostatics import ElectrostaticEnergy
from pyg_nnp.layers.embedding import ChargeEmbedding, RandomAtomEmbedding
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.layers.force import Force, Stress
from pyg_nnp.layers.geometry import BesselBasis, Distance, GaussianSmearing, RangeSeparation
from pyg_nnp.layers.zbl import ZBL

LAYERS: dict[str, type[Layer]] = {
    "Distance": Distance,
    "RangeSeparation": RangeSeparation,
    "GaussianSmearing": GaussianSmearing,
    "BesselBasis": BesselBasis,
    "RandomAtomEmbedding": RandomAtomEmbedding,
    "ChargeEmbedding": ChargeEmbedding,
    "AtomicAffine": AtomicAffine,
    "ChargeConservation": ChargeConservation,
    "AtomicCharge2Dipole": AtomicCharge2Dipole,
    "ElectrostaticEnergy": ElectrostaticEnergy,
    "ZBL": ZBL,
    "Dispersion": Dispersion,
    "EnergyReduce": EnergyReduce,
    "Force": Force,
    "Stress": Stress,
}

__all__ = [
    "LAYERS",
    "ZBL",
    "AtomicAffine",
    "AtomicCharge2Dipole",
    "BesselBasis",
    "ChargeConservation",
    "ChargeEmbedding",
    "Core",
    "Dispersion",
    "Distance",
    "ElectrostaticEnergy",
    "EnergyReduce",
    "Force",
    "GaussianSmearing",
    "Layer",
    "RadialBasis",
    "RandomAtomEmbedding",
    "RangeSeparation",
    "Stress",
]
