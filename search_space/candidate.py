"""A candidate: one configuration, decoded into what it means. Knows no heavy library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from search_space.cell import JOINS, TAILS, Cell, Join, Tail

Value: TypeAlias = bool | int | float | str
Preset: TypeAlias = Literal["paper", "dual_path", "dag", "timm", "joint"]
Source: TypeAlias = Literal["dual_path", "dag", "timm"]
OptimizerName: TypeAlias = Literal["Adam", "AdamW", "SGD"]
MitigationName: TypeAlias = Literal[
    "none", "balanced_sampling", "reweighting", "group_dro", "group_margin"
]
Tunable: TypeAlias = Literal[
    "margin",
    "scale",
    "weight_decay",
    "momentum",
    "label_smoothing",
    "embedding_size",
    "augmentation",
    "drop_path",
    "mitigation",
]

SOURCES: tuple[Source, ...] = get_args(Source)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
TUNABLES: tuple[Tunable, ...] = get_args(Tunable)


@dataclass(frozen=True, slots=True, kw_only=True)
class DagSettings:
    """How far the typed-DAG cells and their networks may go.

    Attributes:
        nodes: Of a cell as proposed, input and output included, 3 to 5; smaller cells are in the
            space too, as cells with edges left out.
        operations: Those an edge may carry, by name, beside no operation; empty means all.
        joins: How a node may join its edges.
        tails: What a block may do with its cell's output.
        widths: Multiples of the published channel counts, on top of the space's `width`.
        blocks: Smallest and largest number of blocks in a stage; each stage has its own.
    """

    nodes: int = 4
    operations: tuple[str, ...] = ()
    joins: tuple[Join, ...] = JOINS
    tails: tuple[Tail, ...] = TAILS
    widths: tuple[float, ...] = (0.5, 0.75, 1.0)
    blocks: tuple[int, int] = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSettings:
    """Which space is searched, and how large its networks are.

    Attributes:
        sources: For `joint`, where architectures come from; empty means all three.
        width: Multiplies every channel count of dual-path and DAG networks; 1.0 is the
            predecessor's.
        blocks_per_stage: Dual-path blocks in each of the four stages; 1 is the predecessor's.
        dag: For `dag` and `joint`.
        families: For `timm` and `joint`, family name -> timm model names, smallest first;
            empty means the shipped list.
        drop_path_families: Of the families, those whose every variant knows drop path; None means
            what is known of the shipped list.
        embedding_size: Numbers in an embedding, unless `tune` names it.
        tune: Hyperparameters of the training recipe that are searched; the others are the run's.
            None means all for `joint` and none for the other presets.
        fix: Hyperparameter -> the one value it has.
        limit: Hyperparameter -> its choices, or its lower and its upper bound.
        priors: Hyperparameter -> weights of its choices, or `center` and `spread`.
        groups: Labels of the group column; where they are known, a margin for each can be tuned.
        definition: A ConfigSpace of the user's own as JSON text, a sub-space of the preset; empty
            for the preset itself.
    """

    preset: Preset = "paper"
    sources: tuple[Source, ...] = ()
    width: float = 1.0
    blocks_per_stage: int = 1
    dag: DagSettings = field(default_factory=DagSettings)
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    drop_path_families: tuple[str, ...] | None = None
    embedding_size: int = 512
    tune: tuple[Tunable, ...] | None = None
    fix: Mapping[str, Value] = field(default_factory=dict)
    limit: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    priors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    definition: str = ""

    @property
    def sources_in_use(self) -> tuple[Source, ...]:
        """Where architectures come from under this preset."""
        if self.preset == "paper":
            return ("dual_path",)
        if self.preset == "joint":
            return tuple(source for source in SOURCES if source in (self.sources or SOURCES))
        return (self.preset,)

    @property
    def tuned(self) -> tuple[Tunable, ...]:
        """The hyperparameters of the training recipe that are searched."""
        if self.tune is None:
            return TUNABLES if self.preset == "joint" else ()
        return tuple(name for name in TUNABLES if name in self.tune)


@dataclass(frozen=True, slots=True, kw_only=True)
class DualPathArchitecture:
    """The predecessor's cell: three edges, each an index into the nine operations."""

    edges: tuple[int, int, int]
    width: float
    blocks_per_stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DagArchitecture:
    """A typed-DAG cell, stacked into four stages.

    Attributes:
        width: Multiple of the published channel counts.
        blocks: In each of the four stages.
    """

    cell: Cell
    width: float
    blocks: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmArchitecture:
    """A backbone of timm's, by its timm name, without pretrained weights."""

    family: str
    variant: str


Architecture: TypeAlias = DualPathArchitecture | DagArchitecture | TimmArchitecture


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadChoice:
    """A margin head and its numbers.

    Attributes:
        name: One of `heads.specs.HEADS`.
        margin: In the head's own unit; None takes the run's, or else the published one.
        scale: Of the logits; None takes the run's, or else the head's own, or else one that
            follows the classes.
        numbers: Argument and value of what this head alone has (`heads.specs.HeadNumber`); what
            is left out has its default.
    """

    name: str
    margin: float | None = None
    scale: float | None = None
    numbers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation:
    """What is done during training for the groups that fare worse.

    Attributes:
        strength: `balanced_sampling` and `reweighting`: the power of one over a group's size, 0 is
            no change and 1 full balance. `group_dro`: step size of the groups' weights.
        margins: `group_margin`: group label -> what is added to the head's margin.
    """

    name: MitigationName = "none"
    strength: float = 0.0
    margins: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Everything a configuration says: the network, its head and how it is optimised.

    Attributes:
        weight_decay, momentum, label_smoothing, augmentation: None where the run's training
            settings decide.
        drop_path: Largest probability of leaving out a block's residual, at the last block.
    """

    architecture: Architecture
    embedding_size: int
    head: HeadChoice
    optimizer: OptimizerName
    learning_rate: float
    weight_decay: float | None = None
    momentum: float | None = None
    label_smoothing: float | None = None
    augmentation: float | None = None
    drop_path: float = 0.0
    mitigation: Mitigation = Mitigation()


def settings_to_json(settings: SpaceSettings) -> dict[str, Any]:
    """The settings as a JSON object; `settings_from_json` is its inverse."""
    return asdict(settings)


def settings_from_json(value: Mapping[str, Any]) -> SpaceSettings:
    """The settings that `settings_to_json` wrote, also after a trip through JSON text."""
    fields = dict(value)
    for name in ("sources", "groups", "tune", "drop_path_families"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    for name in ("families", "limit"):
        if name in fields:
            fields[name] = {key: tuple(values) for key, values in fields[name].items()}
    if "dag" in fields:
        dag: dict[str, Any] = {
            key: tuple(setting) if isinstance(setting, list) else setting
            for key, setting in fields["dag"].items()
        }
        fields["dag"] = DagSettings(**dag)
    return SpaceSettings(**fields)
