"""What a run file may say, section by section, checked whole. The only place that knows pydantic.

Every fault of a file is reported at once, with its path and what would be accepted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from frnas_search.config.messages import faults_of, one_line
from frnas_search.config.values import (
    EnqueuedConfiguration,
    Families,
    Fraction,
    Names,
    Number,
    PositiveInt,
    PositiveNumber,
    Prior,
    Scalar,
    Seed,
    Text,
    Time,
)
from frnas_search.coordinator.failure_limits import FailureLimits
from frnas_search.coordinator.limits import Limits
from frnas_search.errors import RunFileError
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import NEEDS, OBJECTIVE_NAMES, objective
from search_space.candidate import DagSettings, Source, SpaceSettings, Tunable
from search_space.cell import JOINS, TAILS
from search_space.definition.faults import space_faults
from search_space.definition.hyperparameters import DROP_PATH, MITIGATION, variant_name
from workers.settings import EvaluationSettings, TrainingSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_EPOCHS = 1_000_000
# More than any data have: the range of a rank is not known before they are opened.
_MOST_IDENTITIES = 10**9
# Hyperparameters whose values or conditions follow from pictures and groups.
_LATE = (variant_name(""), MITIGATION, DROP_PATH)


class Section(BaseModel):
    """A part of the run file: frozen, and no key it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)
ValueT = TypeVar("ValueT")


class SyntheticSection(Section):
    """The embedded data set, made at first use and cached."""

    seed: Seed = 0
    size: Annotated[int, Field(ge=16, le=128, strict=True)] = 32


class DataSection(Section):
    """Where the faces are: a pack, or the embedded synthetic faces."""

    pack: Path | None = None
    synthetic: SyntheticSection | None = None
    group: str = "group"

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        if (self.pack is None) == (self.synthetic is None):
            raise ValueError("give either `pack: FILE` or `synthetic: {}`, one of the two")
        return self


class DagSection(Section):
    """How far typed-DAG cells and their networks may go."""

    nodes: PositiveInt = 4
    operations: tuple[str, ...] = ()
    joins: tuple[str, ...] = JOINS
    tails: tuple[str, ...] = TAILS
    widths: tuple[PositiveNumber, ...] = (0.5, 0.75, 1.0)
    blocks: tuple[PositiveInt, PositiveInt] = (1, 3)

    def settings(self) -> DagSettings:
        """The same as the space's own record."""
        return DagSettings(**self.model_dump())


class SpaceSection(Section):
    """Which space is searched."""

    preset: Literal["paper", "dual_path", "dag", "timm", "joint"] = "paper"
    sources: tuple[str, ...] = ()
    width: Number = 1.0
    blocks_per_stage: PositiveInt = 1
    dag: DagSection = DagSection()
    families: Families = Field(default_factory=dict)
    embedding_size: PositiveInt = 512
    tune: tuple[str, ...] | None = None
    fix: dict[str, Scalar] = Field(default_factory=dict)
    limit: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    priors: dict[str, Prior] = Field(default_factory=dict)
    file: Path | None = None

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

    @model_validator(mode="after")
    def _not_empty(self) -> SpaceSection:
        if faults := space_faults(_known_beforehand(self.settings())):
            raise ValueError("\n".join(faults))
        return self


def _known_beforehand(settings: SpaceSettings) -> SpaceSettings:
    """The settings without what narrows a hyperparameter of which only the data tell the values.

    Patterns are not backbones yet, and groups are not known; `space_preparation` checks the rest.
    """

    def kept(narrowed: Mapping[str, ValueT]) -> dict[str, ValueT]:
        return {name: each for name, each in narrowed.items() if not name.startswith(_LATE)}

    return replace(
        settings,
        fix=kept(settings.fix),
        limit=kept(settings.limit),
        priors=kept(settings.priors),
    )


class ConstraintsSection(Section):
    """What a candidate may cost at most; one that costs more is never trained.

    `max_cost` is of what a training measures: what is above does not enter the front.
    """

    max_parameters: PositiveNumber | None = None
    max_macs: PositiveNumber | None = None
    max_activation_bytes: PositiveNumber | None = None
    max_milliseconds_per_image: PositiveNumber | None = None
    max_cost: dict[str, Number] = Field(default_factory=dict)

    def limits(self) -> dict[str, float]:
        """Those on a candidate that are given, by name."""
        given = self.model_dump(exclude={"max_cost"})
        return {name: value for name, value in given.items() if value is not None}


class FidelitySection(Section):
    """Hyperband's budgets in whole epochs."""

    min_epochs: PositiveInt = 3
    max_epochs: Annotated[int, Field(ge=1, le=_MOST_EPOCHS, strict=True)] = 27
    eta: Annotated[int, Field(ge=2, strict=True)] = 3

    @model_validator(mode="after")
    def _rising(self) -> FidelitySection:
        if self.min_epochs > self.max_epochs:
            raise ValueError(
                f"min_epochs is {self.min_epochs} and max_epochs is {self.max_epochs}; "
                "the first must not be larger"
            )
        return self

    def fidelity(self) -> Fidelity:
        """The same as the schedule's own record."""
        return Fidelity(min_epochs=self.min_epochs, max_epochs=self.max_epochs, eta=self.eta)


class StopSection(Section):
    """When the search ends; the first limit that is reached counts, null is no limit."""

    trials: PositiveInt | None = 200
    epochs: PositiveInt | None = None
    gpu_hours: PositiveNumber | None = None
    wall_hours: PositiveNumber | None = None
    deadline: Time | None = None
    plateau: PositiveInt | None = None

    def limits(self) -> Limits:
        """The same as the search's own record."""
        deadline = None if self.deadline is None else datetime.fromisoformat(self.deadline)
        return Limits(**{**self.model_dump(), "deadline": deadline})

    @model_validator(mode="after")
    def _ends(self) -> StopSection:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("every limit is null; give at least one, such as `trials: 200`")
        return self


class FailuresSection(Section):
    """When so many trials fail that the search stops; null is no limit."""

    first: PositiveInt | None = 10
    rate: Annotated[Number, Field(gt=0, lt=1)] | None = 0.9
    window: PositiveInt = 50

    def limits(self) -> FailureLimits:
        """The same as the search's own record."""
        return FailureLimits(**self.model_dump())


class TrainingSection(Section):
    """The recipe that all configurations share."""

    batch_size: Annotated[int, Field(ge=2, strict=True)] = 64
    weight_decay: Annotated[Number, Field(ge=0)] = 1e-4
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    scale: PositiveNumber | None = None
    margin: Annotated[Number, Field(ge=0, le=1.5)] | None = None
    focal_gamma: Annotated[Number, Field(ge=0, le=10)] = 0.0
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    warmup_fraction: Fraction = 0.1
    clip_grad_norm: PositiveNumber | None = 5.0
    augmentation: Fraction = 0.5
    erasing: Fraction = 0.0
    ema_decay: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt | None = None
    memory_gb: PositiveNumber | None = None
    timeout_seconds: PositiveNumber | None = None
    checkpoint_seconds: Annotated[Number, Field(ge=0)] = 600.0

    def settings(self) -> TrainingSettings:
        """The same as the workers' own record."""
        return TrainingSettings(**self.model_dump())


class EvaluationSection(Section):
    """How embeddings are made and compared."""

    max_images_per_identity: Annotated[int, Field(ge=2, strict=True)] = 10
    flip: bool = True
    batch_size: PositiveInt = 256
    n_replicates: Annotated[int, Field(ge=100, strict=True)] = 1000
    n_permutations: Annotated[int, Field(ge=0, strict=True)] = 1000
    verification: bool = False
    fmr: Annotated[Number, Field(gt=0, lt=1)] = 1e-3
    open_set: bool = False
    fpir: Annotated[Number, Field(gt=0, lt=1)] = 0.01
    tables: bool = False

    def settings(self) -> EvaluationSettings:
        """The same as the workers' own record."""
        return EvaluationSettings(**self.model_dump())


class SearchSection(Section):
    """Who proposes, and what first."""

    sampler: Literal["smac", "random", "nsga2", "tpe"] = "smac"
    initial_configurations: Annotated[PositiveInt, Field(le=1000)] = 10
    enqueue: tuple[EnqueuedConfiguration, ...] = ()
    warm_start: Names = ()
    virtual_time: bool = False
    slots: PositiveInt | None = None

    @model_validator(mode="after")
    def _slots_of_a_clock(self) -> SearchSection:
        if self.slots is not None and not self.virtual_time:
            raise ValueError(
                "slots are those of a virtual clock; give `virtual_time: true` as well, or "
                "`workers.local` for the workers to start here"
            )
        return self


class WorkersSection(Section):
    """Where trials run: a scheduler's address, or workers started here."""

    scheduler: str | None = None
    local: PositiveInt = 1
    # One process per GPU; a trial on several is not there yet, and the key says so.
    gpus_per_trial: Literal[1] = 1
    max_attempts: PositiveInt = 3
    checkpoint_gb: PositiveNumber | None = None


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


def parse_run_config(raw: Mapping[str, Any], *, where: str) -> RunConfig:
    """Check a whole run file and fill in its defaults.

    Raises:
        RunFileError: Every fault, one a line, each with its path.
    """
    faults: list[str] = []
    config: RunConfig | None = None
    try:
        config = RunConfig.model_validate(dict(raw))
    except ValidationError as error:
        faults += [fault for each in error.errors() for fault in faults_of(each, RunConfig)]
    faults += _faults_of_names(raw)
    if faults or config is None:
        raise RunFileError("\n".join(f"{where}: {fault}" for fault in faults))
    return config


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


def _faults_of_names(raw: Mapping[str, Any]) -> list[str]:
    """What pydantic's types cannot say; reported beside its faults, not after them."""
    faults = []
    name, objectives = raw.get("name"), raw.get("objectives")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        faults.append(f"name: {name!r} cannot be a folder's name; use letters, digits, . _ -")
    if isinstance(objectives, list):
        named = [each for each in objectives if isinstance(each, str)]
        unknown = [each for each in dict.fromkeys(named) if each not in OBJECTIVE_NAMES]
        faults += [
            f"objectives: {each!r} is not one of {', '.join(OBJECTIVE_NAMES)}" for each in unknown
        ]
        if len(set(named)) < len(named):
            faults.append("objectives: one is named twice; name each once")
        faults += _faults_of_unmeasured(named, raw.get("evaluation"))
    return faults + _faults_of_max_cost(objectives, raw.get("constraints"))


def _faults_of_max_cost(objectives: object, constraints: object) -> list[str]:
    """Limits on what is not minimised, or that nothing keeps within, or everything."""
    section = constraints if isinstance(constraints, Mapping) else {}
    limits = section.get("max_cost")
    if objectives is None:
        objectives = RunConfig.model_fields["objectives"].default
    if not isinstance(limits, Mapping) or not isinstance(objectives, list | tuple):
        return []
    faults = []
    for name, limit in limits.items():
        # What is not a name is told elsewhere.
        if isinstance(name, str) and (fault := _fault_of_max_cost(name, limit, objectives)):
            faults.append(f"constraints.max_cost.{one_line(name)}: {fault}")
    return faults


def _fault_of_max_cost(name: str, limit: object, objectives: Sequence[object]) -> str | None:
    if name not in objectives:
        named = ", ".join(each for each in objectives if isinstance(each, str))
        return f"is not an objective of this run; its objectives are {named}"
    cost = _finite_number(limit)
    if cost is None or name not in OBJECTIVE_NAMES:
        return None  # told elsewhere
    return objective(name, n_identities=_MOST_IDENTITIES).range_fault(cost)


def _finite_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _faults_of_unmeasured(objectives: list[str], evaluation: object) -> list[str]:
    """Objectives that nothing would measure, which every trial would fail for."""
    section = evaluation if isinstance(evaluation, Mapping) else {}
    return [
        f"objectives: {each!r} needs `evaluation.{NEEDS[each]}: true`"
        for each in dict.fromkeys(objectives)
        if each in NEEDS and not section.get(NEEDS[each])
    ]
