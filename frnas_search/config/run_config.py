"""What a run file may say, section by section. What contradicts itself is for `contradictions`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from frnas_search.config.values import (
    EnqueuedConfiguration,
    Families,
    Fraction,
    Names,
    Number,
    Place,
    PositiveInt,
    PositiveNumber,
    Prior,
    Scalar,
    Seed,
    Text,
    TextPlace,
    Time,
    at_most,
)
from frnas_search.coordinator.failure_limits import FailureLimits
from frnas_search.coordinator.limits import Limits
from frnas_search.optimizers.engine import Acquisition, EngineSettings, IntensifierName, Model
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.registry import Sampler
from search_space.candidate import DagSettings, Source, SpaceSettings, Tunable
from search_space.cell import JOINS, TAILS
from workers.settings import EvaluationSettings, TrainingSettings

CHANGEABLE_SECTIONS = ("stop", "failures", "workers")
"""What may differ when a run is resumed: how long it goes on, through what, and where."""

_MOST_EPOCHS = 1_000_000
_MOST_TRIALS = 10_000_000
_MOST_RESAMPLINGS = 100_000
_MOST_LOCAL_WORKERS = 1024

_Epochs = Annotated[PositiveInt, at_most(_MOST_EPOCHS, "no training is that long")]
_Trials = Annotated[
    PositiveInt, at_most(_MOST_TRIALS, "no search runs more trials; null is no limit")
]
_Batch = at_most(1_000_000, "no memory holds so many pictures at a time")
_Blocks = Annotated[PositiveInt, at_most(1000, "no network that trains is that deep")]
_NO_LIMIT = "no network that trains comes near it; null is no limit"
_Gigabytes = Annotated[PositiveNumber, at_most(1e6, "that is a petabyte; null is no limit")]
_Resamplings = at_most(
    _MOST_RESAMPLINGS, "every trial would wait for hours, and no interval gains by it"
)


class Section(BaseModel):
    """A part of the run file: frozen, and no key it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


class SyntheticSection(Section):
    """The embedded data set, made at first use and cached."""

    seed: Seed = 0
    size: Annotated[int, Field(ge=16, le=128, strict=True)] = 32


class DataSection(Section):
    """Where the faces are: a pack, or the embedded synthetic faces."""

    pack: Place | None = None
    synthetic: SyntheticSection | None = None
    group: str = "group"


class DagSection(Section):
    """How far typed-DAG cells and their networks may go."""

    nodes: Annotated[PositiveInt, at_most(1000, "a cell has a handful of nodes")] = 4
    operations: tuple[str, ...] = ()
    joins: tuple[str, ...] = JOINS
    tails: tuple[str, ...] = TAILS
    widths: tuple[
        Annotated[PositiveNumber, at_most(1000, "no network that trains is that wide")], ...
    ] = (0.5, 0.75, 1.0)
    blocks: tuple[_Blocks, _Blocks] = (1, 3)

    def settings(self) -> DagSettings:
        """The same as the space's own record."""
        return DagSettings(**self.model_dump())


class SpaceSection(Section):
    """Which space is searched."""

    preset: Literal["paper", "dual_path", "dag", "timm", "joint"] = "paper"
    sources: tuple[str, ...] = ()
    width: Number = 1.0
    blocks_per_stage: _Blocks = 1
    dag: DagSection = DagSection()
    families: Families = Field(default_factory=dict)
    embedding_size: PositiveInt = 512
    tune: tuple[str, ...] | None = None
    fix: dict[str, Scalar] = Field(default_factory=dict)
    limit: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    priors: dict[str, Prior] = Field(default_factory=dict)
    file: Place | None = None

    def settings(self) -> SpaceSettings:
        """The same as the space's own record; `families` may still hold patterns."""
        own = {"dag", "file", "sources", "tune"}
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in own}
        return SpaceSettings(
            dag=self.dag.settings(),
            sources=cast("tuple[Source, ...]", self.sources),
            tune=cast("tuple[Tunable, ...] | None", self.tune),
            **fields,
        )


class ConstraintsSection(Section):
    """What a candidate may cost at most; one that costs more is never trained.

    `max_cost` is of what a training measures: what is above does not enter the front.
    """

    max_parameters: Annotated[PositiveNumber, at_most(1e15, _NO_LIMIT)] | None = None
    max_macs: Annotated[PositiveNumber, at_most(1e18, _NO_LIMIT)] | None = None
    max_activation_bytes: Annotated[PositiveNumber, at_most(1e18, _NO_LIMIT)] | None = None
    max_milliseconds_per_image: Annotated[PositiveNumber, at_most(1e9, _NO_LIMIT)] | None = None
    max_cost: dict[str, Number] = Field(default_factory=dict)

    def limits(self) -> dict[str, float]:
        """Those on a candidate that are given, by name."""
        given = self.model_dump(exclude={"max_cost"})
        return {name: value for name, value in given.items() if value is not None}


class FidelitySection(Section):
    """Hyperband's budgets in whole epochs."""

    min_epochs: _Epochs = 3
    max_epochs: Annotated[int, Field(ge=1, le=_MOST_EPOCHS, strict=True)] = 27
    eta: Annotated[
        int,
        Field(ge=2, strict=True),
        at_most(_MOST_EPOCHS, "no rung would be left below the highest"),
    ] = 3

    def fidelity(self) -> Fidelity:
        """The same as the schedule's own record."""
        return Fidelity(min_epochs=self.min_epochs, max_epochs=self.max_epochs, eta=self.eta)


class StopSection(Section):
    """When the search ends; the first limit that is reached counts, null is no limit."""

    trials: _Trials | None = 200
    epochs: (
        Annotated[PositiveInt, at_most(10**12, "no search trains as much; null is no limit")]
        | None
    ) = None
    gpu_hours: (
        Annotated[PositiveNumber, at_most(1e9, "a thousand devices take a century for that")]
        | None
    ) = None
    wall_hours: Annotated[PositiveNumber, at_most(1e6, "that is more than a century")] | None = (
        None
    )
    deadline: Time | None = None
    plateau: _Trials | None = None

    def limits(self) -> Limits:
        """The same as the search's own record."""
        deadline = None if self.deadline is None else datetime.fromisoformat(self.deadline)
        return Limits(**{**self.model_dump(), "deadline": deadline})


class FailuresSection(Section):
    """When so many trials fail that the search stops; null is no limit."""

    first: _Trials | None = 10
    rate: Annotated[Number, Field(gt=0, lt=1)] | None = 0.9
    window: _Trials = 50

    def limits(self) -> FailureLimits:
        """The same as the search's own record."""
        return FailureLimits(**self.model_dump())


class TrainingSection(Section):
    """The recipe that all configurations share."""

    batch_size: Annotated[int, Field(ge=2, strict=True), _Batch] = 64
    weight_decay: Annotated[
        Number, Field(ge=0), at_most(1000, "weights would vanish in a step")
    ] = 1e-4
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    scale: Annotated[PositiveNumber, at_most(1e6, "every softmax would be 0 or 1")] | None = None
    margin: Annotated[Number, Field(ge=0, le=1.5)] | None = None
    focal_gamma: Annotated[Number, Field(ge=0, le=10)] = 0.0
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    warmup_fraction: Fraction = 0.1
    clip_grad_norm: (
        Annotated[PositiveNumber, at_most(1e12, "nothing would be cut; null for that")] | None
    ) = 5.0
    augmentation: Fraction = 0.5
    erasing: Fraction = 0.0
    ema_decay: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[PositiveInt, at_most(4096, "no machine has as many cores")] | None = None
    memory_gb: _Gigabytes | None = None
    timeout_seconds: (
        Annotated[PositiveNumber, at_most(1e9, "that is thirty years; null is no limit")] | None
    ) = None
    checkpoint_seconds: Annotated[Number, Field(ge=0), at_most(1e9, "that is thirty years")] = (
        600.0
    )

    def settings(self) -> TrainingSettings:
        """The same as the workers' own record."""
        return TrainingSettings(**self.model_dump())


class EvaluationSection(Section):
    """How embeddings are made and compared."""

    max_images_per_identity: Annotated[
        int, Field(ge=2, strict=True), at_most(1_000_000, "nobody has as many pictures")
    ] = 10
    flip: bool = True
    batch_size: Annotated[PositiveInt, _Batch] = 256
    n_replicates: Annotated[int, Field(ge=100, strict=True), _Resamplings] = 1000
    n_permutations: Annotated[int, Field(ge=0, strict=True), _Resamplings] = 1000
    verification: bool = False
    fmr: Annotated[Number, Field(gt=0, lt=1)] = 1e-3
    open_set: bool = False
    fpir: Annotated[Number, Field(gt=0, lt=1)] = 0.01
    tables: bool = False
    every_epochs: PositiveInt | None = None

    def settings(self) -> EvaluationSettings:
        """The same as the workers' own record."""
        return EvaluationSettings(**self.model_dump())


class EngineSection(Section):
    """The parts of the sampler `smac`."""

    model: Model = "gp"
    acquisition: Acquisition = "hypervolume"
    intensifier: IntensifierName = "asynchronous"

    def settings(self) -> EngineSettings:
        """The engine's settings."""
        return EngineSettings(**self.model_dump())


class SearchSection(Section):
    """Who proposes, and what first."""

    sampler: Sampler = "smac"
    engine: EngineSection = EngineSection()
    initial_configurations: Annotated[PositiveInt, Field(le=1000)] = 10
    enqueue: tuple[EnqueuedConfiguration, ...] = ()
    warm_start: Names = ()
    virtual_time: bool = False
    slots: (
        Annotated[PositiveInt, at_most(100_000, "no cluster runs as many trials at once")] | None
    ) = None


class WorkersSection(Section):
    """Where trials run: a scheduler's address, or workers started here."""

    scheduler: TextPlace | None = None
    local: Annotated[
        PositiveInt,
        at_most(
            _MOST_LOCAL_WORKERS,
            "each is a process with a core or a GPU of this machine; attach those of other "
            "machines to a scheduler",
        ),
    ] = 1
    # One process per GPU; a trial on several is not there yet, and the key says so.
    gpus_per_trial: Literal[1] = 1
    max_attempts: Annotated[
        PositiveInt, at_most(1000, "what fails that often does not come back")
    ] = 3
    checkpoint_gb: _Gigabytes | None = None
    stall_seconds: Annotated[
        Number,
        Field(ge=10),
        at_most(86_400, "what stands still for a day does not come back"),
    ] = 300.0


class RunConfig(Section):
    """One run file with every default filled in."""

    schema_version: Literal[1] = 1
    name: Text
    seed: Seed = 0
    data: DataSection
    space: SpaceSection = SpaceSection()
    constraints: ConstraintsSection = ConstraintsSection()
    objectives: Annotated[tuple[Text, ...], Field(min_length=2)] = ("error", "rank_disparity")
    fidelity: FidelitySection = FidelitySection()
    stop: StopSection = StopSection()
    failures: FailuresSection = FailuresSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    search: SearchSection = SearchSection()
    workers: WorkersSection = WorkersSection()


def with_fixed_workers(config: RunConfig) -> RunConfig:
    """The same; in virtual time with what must not change with the workers.

    That is the number of slots, and that of threads, by which the last bits of a result go.
    """
    if not config.search.virtual_time:
        return config
    slots = {"slots": config.search.slots or config.workers.local}
    threads = {"threads": config.training.threads or 1}
    return config.model_copy(
        update={
            "search": config.search.model_copy(update=slots),
            "training": config.training.model_copy(update=threads),
        }
    )


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The same with paths made absolute, so that their files are found from everywhere."""
    data = _with_absolute(config.data, "pack")
    space = _with_absolute(config.space, "file")
    return config.model_copy(update={"data": data, "space": space})


def with_families(config: RunConfig, families: Mapping[str, tuple[str, ...]]) -> RunConfig:
    """The same with patterns and shipped families replaced by the models that they stood for."""
    space = config.space.model_copy(update={"families": dict(families)})
    return config.model_copy(update={"space": space})


def _with_absolute(section: SectionT, name: str) -> SectionT:
    path = getattr(section, name)
    if path is None:
        return section
    return section.model_copy(update={name: path.expanduser().absolute()})
