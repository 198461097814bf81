"""From a configuration to a candidate: checks every name and value, then says what it means.

Takes plain mappings; knows neither ConfigSpace nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from search_space.candidate import (
    Architecture,
    Candidate,
    DagArchitecture,
    DualPathArchitecture,
    HeadChoice,
    Mitigation,
    MitigationName,
    OptimizerName,
    Source,
    SpaceSettings,
    TimmArchitecture,
    Value,
)
from search_space.cell import (
    NO_OPERATION,
    PAPER_OPERATIONS,
    Cell,
    Edge,
    Join,
    Tail,
    canonical_cell,
)
from search_space.definition import hyperparameters as names
from search_space.definition.hyperparameters import hyperparameters, variant_name
from search_space.definition.records import (
    Hyperparameter,
    accepted,
    accepts,
    canonical_value,
    condition_words,
)
from search_space.errors import InvalidConfigurationError
from search_space.heads.specs import HEAD_SPECS, HeadNumber


def decode(configuration: Mapping[str, Value], settings: SpaceSettings) -> Candidate:
    """What the configuration says, in the space that the settings describe.

    Args:
        configuration: A value for each active hyperparameter and for no other. In a space of the
            user's own, what is left out has its default.
        settings: Settings without faults (see `space.space_faults`).

    Raises:
        InvalidConfigurationError: A hyperparameter is missing, unknown, out of range, or given
            although it is inactive; the message names all such faults.
    """
    if settings.definition:
        configuration = complete(configuration, settings)
    faults = configuration_faults(configuration, settings)
    if faults:
        raise InvalidConfigurationError(f"invalid configuration: {'; '.join(faults)}")
    optimizer = cast(OptimizerName, configuration[names.OPTIMIZER])
    is_sgd = optimizer == "SGD"
    rate = names.LEARNING_RATE_SGD if is_sgd else names.LEARNING_RATE_ADAM
    architecture, embedding_size = network_of(configuration, settings)
    return Candidate(
        architecture=architecture,
        embedding_size=embedding_size,
        head=_head(configuration),
        optimizer=optimizer,
        learning_rate=float(configuration[rate]),
        weight_decay=_number(configuration, names.WEIGHT_DECAY),
        momentum=_number(configuration, names.MOMENTUM),
        label_smoothing=_number(configuration, names.LABEL_SMOOTHING),
        augmentation=_number(configuration, names.AUGMENTATION),
        drop_path=_number(configuration, names.DROP_PATH) or 0.0,
        mitigation=_mitigation(configuration, settings),
    )


def complete(configuration: Mapping[str, Value], settings: SpaceSettings) -> dict[str, Value]:
    """The configuration with the default of every active hyperparameter that it leaves out.

    A choice that is left out follows from what is given below it: `{"timm.family": "resnet"}`
    chooses timm. Values that a person may write otherwise (3 for "3") become the space's own.
    Names that the space does not know stay, for `configuration_faults` to find.
    """
    space = _space(settings)
    known = {parameter.name: parameter for parameter in space}
    given = {
        name: canonical_value(known[name], value) if name in known else value
        for name, value in configuration.items()
    }
    for parameter in reversed(space):
        for condition in parameter.conditions:
            if parameter.name in given and len(parameter.conditions) == 1:
                given.setdefault(condition.parent, condition.values[0])
    completed = dict(given)
    active: set[str] = set()
    for parameter in space:
        if _is_active(parameter, completed, active):
            active.add(parameter.name)
            completed.setdefault(parameter.name, parameter.default)
    return completed


def configuration_faults(configuration: Mapping[str, Value], settings: SpaceSettings) -> list[str]:
    """Every reason why the configuration is not one of the space: one sentence each."""
    space = _space(settings)
    known = {parameter.name for parameter in space}
    faults = [
        f"{name} is not a hyperparameter of the {settings.preset} space; leave it out"
        for name in sorted(set(configuration) - known)
    ]
    active: set[str] = set()
    undecided: set[str] = set()  # whether these are active hangs on a value that is missing or bad
    for parameter in space:
        name = parameter.name
        if not _is_active(parameter, configuration, active):
            if any(condition.parent in undecided for condition in parameter.conditions):
                undecided.add(name)
            elif name in configuration:
                where = condition_words(parameter)
                faults.append(f"{name} is given but counts only with {where}; leave it out")
        elif name in configuration and accepts(parameter, configuration[name]):
            active.add(name)
        else:
            undecided.add(name)
            found = f"is {configuration[name]!r}" if name in configuration else "is missing"
            faults.append(f"{name} {found}; give {accepted(parameter)}")
    return faults


def describe(candidate: Candidate) -> str:
    """The candidate in one short line, such as `dual_path 3-0-1 · CosFace · SGD 0.138`."""
    optimisation = f"{candidate.optimizer} {candidate.learning_rate:.3g}"
    parts = [_described(candidate.architecture), candidate.head.name, optimisation]
    if candidate.mitigation.name != "none":
        parts.append(candidate.mitigation.name)
    return " · ".join(parts)


def operation_name(index: int) -> str:
    """The name of a published edge's operation, such as `Conv3x3` for 3.

    Raises:
        InvalidConfigurationError: The index is not one of the nine.
    """
    if not 0 <= index < len(PAPER_OPERATIONS):
        raise InvalidConfigurationError(
            f"there is no operation {index}; choose from 0 to {len(PAPER_OPERATIONS) - 1}"
        )
    return PAPER_OPERATIONS[index]


def _described(architecture: Architecture) -> str:
    match architecture:
        case DualPathArchitecture():
            return f"dual_path {'-'.join(str(edge) for edge in architecture.edges)}"
        case DagArchitecture():
            blocks = "-".join(str(count) for count in architecture.blocks)
            return f"dag {architecture.cell.hash()[:8]} x {blocks}"
        case TimmArchitecture():
            return architecture.variant


def network_of(
    configuration: Mapping[str, Value], settings: SpaceSettings
) -> tuple[Architecture, int]:
    """The architecture and the size of its embeddings, of which a network's cost is a function.

    For those who ask of thousands: nothing is checked and the recipe is not looked at.

    Args:
        configuration: One of the space, as `decode` takes it.
        settings: The space.
    """
    if settings.definition:
        configuration = complete(configuration, settings)
    embedding_size = int(configuration.get(names.EMBEDDING_SIZE, settings.embedding_size))
    return _architecture(configuration, settings), embedding_size


def _architecture(configuration: Mapping[str, Value], settings: SpaceSettings) -> Architecture:
    source = cast(Source, configuration.get(names.ARCHITECTURE, settings.sources_in_use[0]))
    match source:
        case "dual_path":
            first, second, third = (int(configuration[name]) for name in names.EDGES)
            return DualPathArchitecture(
                edges=(first, second, third),
                width=settings.width,
                blocks_per_stage=settings.blocks_per_stage,
            )
        case "dag":
            return _dag(configuration, settings)
        case "timm":
            family = str(configuration[names.FAMILY])
            return TimmArchitecture(
                family=family, variant=str(configuration[variant_name(family)])
            )


def _dag(configuration: Mapping[str, Value], settings: SpaceSettings) -> DagArchitecture:
    first, second, third, fourth = (
        int(configuration.get(name, settings.dag.blocks[0])) for name in names.DAG_BLOCKS
    )
    return DagArchitecture(
        cell=_cell(configuration, settings.dag.nodes),
        width=settings.width * float(configuration[names.DAG_WIDTH]),
        blocks=(first, second, third, fourth),
    )


def _cell(configuration: Mapping[str, Value], n_nodes: int) -> Cell:
    edges = [
        Edge(source, target, str(configuration[names.edge_name(source, target)]))
        for target in range(1, n_nodes)
        for source in range(target)
    ]
    joins = {node: cast(Join, configuration[names.join_name(node)]) for node in range(2, n_nodes)}
    return canonical_cell(
        n_nodes,
        [edge for edge in edges if edge.operation != NO_OPERATION],
        joins,
        cast(Tail, configuration[names.DAG_TAIL]),
    )


def _head(configuration: Mapping[str, Value]) -> HeadChoice:
    name = str(configuration[names.HEAD])
    return HeadChoice(
        name=name,
        margin=_number(configuration, names.margin_name(name)),
        scale=_number(configuration, names.SCALE),
        numbers=tuple(
            (number.argument, _own(configuration, number)) for number in HEAD_SPECS[name].numbers
        ),
    )


def _own(configuration: Mapping[str, Value], number: HeadNumber) -> float:
    value = configuration.get(number.hyperparameter, number.default)
    return int(value) if number.is_integer else float(value)


def _mitigation(configuration: Mapping[str, Value], settings: SpaceSettings) -> Mitigation:
    name = cast(MitigationName, configuration.get(names.MITIGATION, "none"))
    strengths = {
        "balanced_sampling": names.SAMPLING_BALANCE,
        "reweighting": names.LOSS_BALANCE,
        "group_dro": names.DRO_STEP,
    }
    if name == "group_margin":
        margins = tuple(
            (group, float(configuration[names.group_margin_name(group)]))
            for group in settings.groups
        )
        return Mitigation(name=name, margins=margins)
    if name == "none":
        return Mitigation()
    return Mitigation(name=name, strength=float(configuration[strengths[name]]))


def _number(configuration: Mapping[str, Value], name: str) -> float | None:
    return float(configuration[name]) if name in configuration else None


def _is_active(
    parameter: Hyperparameter, configuration: Mapping[str, Value], active: set[str]
) -> bool:
    conditions = parameter.conditions
    return not conditions or any(
        condition.parent in active and configuration[condition.parent] in condition.values
        for condition in conditions
    )


def _space(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    return _cached_space(_Key(settings))


class _Key:
    """Settings as a key of the cache: they hold mappings, which have no hash."""

    __slots__ = ("_hash", "settings")

    def __init__(self, settings: SpaceSettings) -> None:
        self.settings = settings
        self._hash = hash((settings.preset, settings.sources, settings.tune, settings.dag))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.settings == other.settings


@lru_cache(maxsize=16)
def _cached_space(key: _Key) -> tuple[Hyperparameter, ...]:
    return hyperparameters(key.settings)
