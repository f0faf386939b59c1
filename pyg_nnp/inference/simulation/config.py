"""The schema of a simulation file: every key, its type, its default, and what it means."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from pyg_nnp.config import Section, explained
from pyg_nnp.config.section import Precision, Seed, Text, problem
from pyg_nnp.config.yaml_reader import format_yaml, read_yaml
from pyg_nnp.errors import ConfigError


def _two_atoms(pair: list[int]) -> list[int]:
    if len(pair) != 2 or pair[0] == pair[1]:
        raise problem(f"expects the numbers of two atoms, such as [0, 5], found {pair}")
    return pair


def _refuse_nvt(ensemble: Any) -> Any:
    if str(ensemble).lower() == "nvt":
        raise problem("expects nve, or langevin for a constant temperature, found 'nvt'")
    return ensemble


Atom = Annotated[int, Field(ge=0)]
Pair = Annotated[list[Atom], AfterValidator(_two_atoms)]


class Constraints(Section):
    """Fixed atoms and distances. Atoms are counted from 0, as in ASE."""

    fixed_atoms: list[Atom] = Field(default=[], description="atoms that stay where they are, counted from 0")
    fixed_distances: list[Pair] = Field(
        default=[], description="pairs of atoms, counted from 0, whose distance stays as in the structure"
    )
    from_structure: bool = Field(default=True, description="whether constraints of the structure file hold, too")

    @model_validator(mode="after")
    def _check_apart(self) -> "Constraints":
        for number, pair in enumerate(self.fixed_distances):
            if both := {*pair} & {*self.fixed_atoms}:
                atom = both.pop()
                raise problem(
                    f"atom {atom} is also one of fixed_atoms; it can be in one of them", "fixed_distances", number
                )
        return self


class SinglePoint(Section):
    """Energy, forces, charges and dipole moment of the structure as it is."""


class Relaxation(Section):
    """Options of an optimiser."""

    optimizer: Literal["BFGS", "LBFGS", "FIRE"] = Field(default="BFGS", description="ASE's optimiser")
    fmax: float = Field(default=0.01, gt=0, description="converged when no atom feels a larger force [eV/Å]")
    steps: int = Field(default=500, gt=0, description="steps at most")


class Optimization(Relaxation):
    """Options of an optimiser, and whether the cell relaxes, too."""

    cell: bool = Field(default=False, description="whether the lattice vectors relax, too, by ASE's FrechetCellFilter")
    pressure: float = Field(default=0.0, description="that the cell is under, with cell [GPa]")


class Dynamics(Section):
    """Molecular dynamics."""

    ensemble: Annotated[Literal["nve", "langevin", "npt"], BeforeValidator(_refuse_nvt)] = Field(
        default="langevin",
        description="nve: velocity Verlet at constant energy; langevin: with a thermostat; npt: with a barostat, too",
    )
    timestep: float = Field(default=0.5, gt=0, description="[fs]")
    temperature: float = Field(default=300.0, ge=0, description="of the first velocities and of the thermostat [K]")
    steps: Annotated[int, Field(gt=0)] | None = Field(default=None, description="length; or give time")
    time: Annotated[float, Field(gt=0)] | None = Field(default=None, description="length [ps]; or give steps")
    friction: float = Field(default=0.01, gt=0, description="of the Langevin thermostat [1/fs]")
    pressure: float = Field(default=0.0, description="of the barostat, npt alone [GPa]")
    barostat_time: float = Field(default=1000.0, gt=0, description="of the barostat, npt alone [fs]")
    hydrostatic: bool = Field(default=True, description="whether the cell keeps its shape, npt alone")
    velocities: Literal["maxwell-boltzmann", "structure"] = Field(
        default="maxwell-boltzmann",
        description="drawn for the temperature, or those of the structure file; momentum and rotation are removed",
    )
    seed: Seed = Field(default=0, description="of the velocities and of the thermostat")
    interval: int = Field(default=20, gt=0, description="steps between frames in trajectory.xyz and rows in log.csv")
    save_interval: int = Field(default=1000, gt=0, description="steps between states that --resume goes on from")
    max_temperature: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="hotter atoms end the run as exploded [K]; null: five times temperature, and at least 2000",
    )

    @model_validator(mode="after")
    def _check_length(self) -> "Dynamics":
        if (self.steps is None) == (self.time is None):
            raise problem("one of steps and time (in ps) says how long it takes; give one of them")
        return self

    @property
    def length(self) -> int:
        """Number of steps."""
        return self.steps or round(1000 * (self.time or 0) / self.timestep)

    @property
    def hottest(self) -> float:
        """Temperature from which on a run counts as exploded [K]."""
        return max(5 * self.temperature, 2000.0) if self.max_temperature is None else self.max_temperature


class Scan(Relaxation):
    """Energies along the distance of two atoms."""

    atoms: Pair = Field(description="the two atoms, counted from 0; the second one moves")
    start: float = Field(gt=0, description="first distance [Å]")
    stop: float = Field(gt=0, description="last distance [Å]")
    points: int = Field(gt=1, description="number of distances")
    relaxed: bool = Field(default=True, description="whether all else is relaxed at each distance")
    moving: list[Atom] = Field(default=[], description="atoms that are moved along with the second one")


class NEB(Relaxation):
    """Nudged elastic band: the path of least energy between two minima."""

    final: Text = Field(description="structure file of the other end, with the atoms in the same order")
    images: int = Field(default=7, gt=0, description="images between the two ends")
    climb: bool = Field(default=True, description="whether the highest image climbs to the saddle point")
    interpolation: Literal["idpp", "linear"] = Field(default="idpp", description="how the first path is made")
    spring_constant: float = Field(default=0.1, gt=0, description="between images [eV/Å²]")
    fmax: float = Field(default=0.05, gt=0, description="converged when no force on the path is larger [eV/Å]")


class EquationOfState(Relaxation):
    """Energies of a crystal at several volumes, and the bulk modulus that follows from them."""

    range: float = Field(default=0.06, gt=0, lt=0.5, description="largest change of the volume, as a part of it")
    points: int = Field(default=9, gt=4, description="number of volumes")
    equation: Literal["birchmurnaghan", "murnaghan", "vinet", "pouriertarantola", "sj"] = Field(
        default="birchmurnaghan", description="what is fitted, by ASE"
    )
    relaxed: bool = Field(default=False, description="whether atoms relax at each volume; the shape of the cell stays")


def _three_repeats(repeats: list[int]) -> list[int]:
    if len(repeats) != 3:
        raise problem(f"expects three numbers of cells, such as [2, 2, 2], found {repeats}")
    return repeats


class Phonons(Section):
    """Frequencies of the vibrations of a crystal, by finite displacements."""

    supercell: Annotated[list[Annotated[int, Field(gt=0)]], AfterValidator(_three_repeats)] = Field(
        default=[3, 3, 3], description="cells in each direction of the supercell whose atoms are displaced"
    )
    displacement: float = Field(default=0.01, gt=0, description="of each atom, there and back [Å]")
    path: Text | None = Field(
        default=None, description="special points of the lattice, such as GXWG; null: those that ASE suggests"
    )
    points: int = Field(default=100, gt=1, description="wave vectors along the path")


_Constraints: TypeAlias = Constraints
TASKS = ("single_point", "optimization", "dynamics", "scan", "neb", "equation_of_state", "phonons")


class Simulation(Section):
    """A whole simulation file."""

    other_names: ClassVar[dict[str, str]] = {"optimisation": "optimization", "NEB": "neb"}
    places: ClassVar[dict[str, Any]] = {
        "constraints": Constraints,
        "dynamics": Dynamics,
        "optimization": Optimization,
        "scan or neb": Relaxation,
        "scan": Scan,
        "neb": NEB,
        "equation_of_state": EquationOfState,
        "phonons": Phonons,
    }

    model: Text = Field(description="folder of a trained model, such as FF01-SchNet")
    structure: Text = Field(description="file that ASE reads; the last structure in it is taken")
    charge: float | None = Field(default=None, description="total charge [e]; null: that of the structure file, or 0")
    dtype: Precision | None = Field(default=None, description="float32 or float64; null: that of the training")
    cuda: bool = Field(default=False, description="whether to evaluate on a GPU")
    constraints: _Constraints = Field(default=_Constraints(), description="what does not move")
    single_point: SinglePoint | None = Field(default=None, description="the structure as it is")
    optimization: Optimization | None = Field(default=None, description="to a minimum")
    dynamics: Dynamics | None = Field(default=None, description="molecular dynamics")
    scan: Scan | None = Field(default=None, description="of a distance")
    neb: NEB | None = Field(default=None, description="path between two minima")
    equation_of_state: EquationOfState | None = Field(default=None, description="volumes and bulk modulus of a crystal")
    phonons: Phonons | None = Field(default=None, description="frequencies of a crystal")

    def as_text(self) -> str:
        """Return all options as YAML."""
        return format_yaml(self.model_dump(exclude_none=True))

    @classmethod
    def respell(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Take a task that is given without options as that with all defaults."""
        return {key: {} if key in TASKS and part is None else part for key, part in value.items()}

    @model_validator(mode="after")
    def _check_task(self) -> "Simulation":
        given = [task for task in TASKS if getattr(self, task) is not None]
        if len(given) != 1:
            found = f"there are {' and '.join(given)}" if given else "there is none"
            raise problem(f"one of {', '.join(TASKS)} says what to do; {found}")
        if self.neb is not None and self.constraints.fixed_distances:
            raise problem("a path has other distances; fix atoms alone, or none", "constraints", "fixed_distances")
        return self


def load_simulation(path: Path) -> Simulation:
    """Read a simulation file.

    Raises:
        ConfigError: the file cannot be read, or is no valid simulation; names the first problems.
    """
    document = read_yaml(path)
    if document is None:
        raise ConfigError(f"{path}: the file is empty; it needs model, structure and one of {', '.join(TASKS)}.")
    try:
        return Simulation.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explained(error, Simulation)}") from error
