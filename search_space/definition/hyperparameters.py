"""The hyperparameters of a space, defined once for sampling and decoding.

`space` turns them into a ConfigSpace, `decode` checks configurations against them; neither repeats
a name, a choice or a bound. Must import no heavy library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from search_space.candidate import OPTIMIZERS, SpaceSettings, Value
from search_space.cell import NO_OPERATION, OPERATIONS, PAPER_OPERATIONS
from search_space.definition.families import drop_path_families_in_use, families_in_use
from search_space.definition.records import (
    Choice,
    Condition,
    Hyperparameter,
    Range,
    canonical_value,
    values_of,
)
from search_space.heads.specs import HEAD_SPECS, HEADS, PUBLISHED_HEADS, HeadNumber, HeadSpec

ARCHITECTURE = "architecture"
EDGES = ("edge1", "edge2", "edge3")
FAMILY = "timm.family"
HEAD = "head"
OPTIMIZER = "optimizer"
LEARNING_RATE_ADAM = "lr_adam"
LEARNING_RATE_SGD = "lr_sgd"
DAG_TAIL = "dag.tail"
DAG_WIDTH = "dag.width"
DAG_BLOCKS = tuple(f"dag.blocks.{stage}" for stage in range(1, 5))
SCALE = "scale"
WEIGHT_DECAY = "weight_decay"
MOMENTUM = "momentum"
LABEL_SMOOTHING = "label_smoothing"
EMBEDDING_SIZE = "embedding_size"
AUGMENTATION = "augmentation"
DROP_PATH = "drop_path"
MITIGATION = "mitigation"
SAMPLING_BALANCE = "mitigation.sampling_balance"
LOSS_BALANCE = "mitigation.loss_balance"
DRO_STEP = "mitigation.dro_step"

_LARGEST_GROUP_MARGIN = 0.2
_EMBEDDING_SIZES = (128, 256, 512)


def variant_name(family: str) -> str:
    """The name of the hyperparameter that chooses among the family's variants."""
    return f"timm.variant.{family}"


def edge_name(source: int, target: int) -> str:
    """The name of the hyperparameter that chooses the operation between two nodes of a cell."""
    return f"dag.op.{source}->{target}"


def join_name(node: int) -> str:
    """The name of the hyperparameter that chooses how a node of a cell joins its edges."""
    return f"dag.join.{node}"


def margin_name(head: str) -> str:
    """The name of the hyperparameter that is the head's margin."""
    return f"margin.{head}"


def group_margin_name(group: str) -> str:
    """The name of the hyperparameter that a group's margin differs by."""
    return f"mitigation.margin.{group}"


def unrestricted(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    """All hyperparameters of the preset, each after its parents, before `limit` and `fix`."""
    is_paper = settings.preset == "paper"
    return (
        *_architecture(settings),
        Choice(name=HEAD, choices=PUBLISHED_HEADS if is_paper else HEADS, default=HEADS[0]),
        Choice(name=OPTIMIZER, choices=OPTIMIZERS, default="Adam"),
        Range(
            name=LEARNING_RATE_ADAM,
            lower=1e-5,
            upper=1e-2,
            default=1e-3,
            is_log=True,
            conditions=_where(OPTIMIZER, "Adam", "AdamW"),
        ),
        Range(
            name=LEARNING_RATE_SGD,
            lower=0.09,
            upper=0.8,
            default=0.1,
            is_log=True,
            conditions=_where(OPTIMIZER, "SGD"),
        ),
        *(parameter for name in settings.tuned for parameter in _recipe(settings)[name]),
    )


def hyperparameters(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    """All hyperparameters of the space, each after its parents.

    What `fix` and `limit` leave without effect is gone: a hyperparameter that no remaining choice
    activates, and a condition that always holds.

    Args:
        settings: Settings without faults; a value that is not allowed is taken as it is.
    """
    restricted = (_restricted(parameter, settings) for parameter in unrestricted(settings))
    kept: dict[str, Hyperparameter] = {}
    for parameter in restricted:
        reachable = _reachable(parameter, kept)
        if reachable is not None:
            kept[parameter.name] = reachable
    return tuple(kept.values())


def _where(parent: str, *values: Value) -> tuple[Condition, ...]:
    return (Condition(parent=parent, values=values),)


def _architecture(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    sources = settings.sources_in_use
    parts = {
        "dual_path": _dual_path,
        "dag": _dag,
        "timm": _timm,
    }
    if len(sources) == 1:
        return parts[sources[0]](settings, ())
    root = Choice(name=ARCHITECTURE, choices=sources, default=sources[0])
    below = (parts[source](settings, _where(ARCHITECTURE, source)) for source in sources)
    return (root, *(parameter for part in below for parameter in part))


def _dual_path(
    settings: SpaceSettings,  # noqa: ARG001 - one signature for all sources
    conditions: tuple[Condition, ...],
) -> tuple[Hyperparameter, ...]:
    codes = tuple(str(code) for code in range(len(PAPER_OPERATIONS)))
    return tuple(
        Choice(name=name, choices=codes, default=default, conditions=conditions)
        for name, default in zip(EDGES, ("2", "0", "1"), strict=True)
    )


def _dag(settings: SpaceSettings, conditions: tuple[Condition, ...]) -> tuple[Hyperparameter, ...]:
    """The default is a chain of the first operation; of all operations, the published cell 000."""
    dag = settings.dag
    operations = tuple(name for name in OPERATIONS if name in (dag.operations or OPERATIONS))
    fewest, most = dag.blocks
    edges = tuple(
        Choice(
            name=edge_name(source, target),
            choices=(NO_OPERATION, *operations),
            default=operations[0] if source == target - 1 else NO_OPERATION,
            conditions=conditions,
        )
        for target in range(1, dag.nodes)
        for source in range(target)
    )
    joins = tuple(
        Choice(
            name=join_name(node), choices=dag.joins, default=dag.joins[0], conditions=conditions
        )
        for node in range(2, dag.nodes)  # at most one edge goes into node 1
    )
    blocks = tuple(
        Range(
            name=name,
            lower=fewest,
            upper=most,
            default=fewest,
            is_integer=True,
            conditions=conditions,
        )
        for name in DAG_BLOCKS
        if fewest < most
    )
    return (
        *edges,
        *joins,
        Choice(name=DAG_TAIL, choices=dag.tails, default=dag.tails[-1], conditions=conditions),
        Choice(name=DAG_WIDTH, choices=dag.widths, default=dag.widths[-1], conditions=conditions),
        *blocks,
    )


def _timm(
    settings: SpaceSettings, conditions: tuple[Condition, ...]
) -> tuple[Hyperparameter, ...]:
    families = families_in_use(settings)
    names = tuple(families)
    variants = tuple(
        Choice(
            name=variant_name(family),
            choices=choices,
            default=choices[0],
            conditions=_where(FAMILY, family),
        )
        for family, choices in families.items()
    )
    return (Choice(name=FAMILY, choices=names, default=names[0], conditions=conditions), *variants)


def _recipe(settings: SpaceSettings) -> dict[str, tuple[Hyperparameter, ...]]:
    """The hyperparameters behind each name that `tune` may have."""
    return {
        "margin": _margins(),
        "scale": (Range(name=SCALE, lower=8.0, upper=80.0, default=30.0, is_log=True),),
        "weight_decay": (
            Range(name=WEIGHT_DECAY, lower=1e-6, upper=1e-1, default=1e-4, is_log=True),
        ),
        "momentum": (
            Range(
                name=MOMENTUM,
                lower=0.8,
                upper=0.98,
                default=0.9,
                conditions=_where(OPTIMIZER, "SGD"),
            ),
        ),
        "label_smoothing": (
            Range(
                name=LABEL_SMOOTHING,
                lower=0.0,
                upper=0.2,
                default=0.0,
                conditions=_where(
                    HEAD, *(spec.name for spec in HEAD_SPECS.values() if spec.smooths_labels)
                ),
            ),
        ),
        "embedding_size": (
            Choice(name=EMBEDDING_SIZE, choices=_EMBEDDING_SIZES, default=_EMBEDDING_SIZES[-1]),
        ),
        "augmentation": (Range(name=AUGMENTATION, lower=0.0, upper=1.0, default=0.5),),
        "drop_path": _drop_path(settings),
        "mitigation": _mitigation(settings),
    }


def _margins() -> tuple[Hyperparameter, ...]:
    """Every head's margin, then what single heads have beside it.

    The latter from the last head to the first: fingerprints of spaces hold the order.
    """
    specs = tuple(HEAD_SPECS.values())
    return (
        *(_margin(spec) for spec in specs),
        *(_own(number, spec) for spec in reversed(specs) for number in spec.numbers),
    )


def _margin(spec: HeadSpec) -> Hyperparameter:
    lower, upper = spec.searched_margins
    return Range(
        name=margin_name(spec.name),
        lower=lower,
        upper=upper,
        default=spec.margin,
        conditions=_where(HEAD, spec.name),
    )


def _own(number: HeadNumber, spec: HeadSpec) -> Hyperparameter:
    lower, upper = number.searched
    return Range(
        name=number.hyperparameter,
        lower=lower,
        upper=upper,
        default=number.default,
        is_log=number.is_log,
        is_integer=number.is_integer,
        conditions=_where(HEAD, spec.name),
    )


def _drop_path(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    """One number, for every architecture that has a residual path to drop."""
    sources = settings.sources_in_use
    conditions: list[Condition] = []
    if "dual_path" in sources and len(sources) > 1:
        conditions += _where(ARCHITECTURE, "dual_path")
    if "dag" in sources:
        conditions += _where(DAG_TAIL, *(t for t in settings.dag.tails if t != "plain"))
    if "timm" in sources:
        conditions += _where(FAMILY, *drop_path_families_in_use(settings))
    return (
        Range(name=DROP_PATH, lower=0.0, upper=0.3, default=0.0, conditions=tuple(conditions)),
    )


def _mitigation(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    names: tuple[Value, ...] = ("none", "balanced_sampling", "reweighting", "group_dro")
    if settings.groups:
        names = (*names, "group_margin")
    margins = tuple(
        Range(
            name=group_margin_name(group),
            lower=-_LARGEST_GROUP_MARGIN,
            upper=_LARGEST_GROUP_MARGIN,
            default=0.0,
            conditions=_where(MITIGATION, "group_margin"),
        )
        for group in settings.groups
    )
    return (
        Choice(name=MITIGATION, choices=names, default="none"),
        Range(
            name=SAMPLING_BALANCE,
            lower=0.0,
            upper=1.0,
            default=1.0,
            conditions=_where(MITIGATION, "balanced_sampling"),
        ),
        Range(
            name=LOSS_BALANCE,
            lower=0.0,
            upper=1.0,
            default=1.0,
            conditions=_where(MITIGATION, "reweighting"),
        ),
        Range(
            name=DRO_STEP,
            lower=1e-3,
            upper=1.0,
            default=1e-2,
            is_log=True,
            conditions=_where(MITIGATION, "group_dro"),
        ),
        *margins,
    )


def _restricted(parameter: Hyperparameter, settings: SpaceSettings) -> Hyperparameter:
    """The hyperparameter under `limit` and `fix`; a default that is gone is replaced."""
    name = parameter.name
    if name in settings.fix:
        value = canonical_value(parameter, settings.fix[name])
        return Choice(name=name, choices=(value,), default=value, conditions=parameter.conditions)
    limit = settings.limit.get(name)
    if limit is None:
        return parameter
    if isinstance(parameter, Choice):
        wanted = [canonical_value(parameter, value) for value in limit]
        choices = tuple(choice for choice in parameter.choices if choice in wanted)
        default = parameter.default if parameter.default in choices else choices[0]
        return replace(parameter, choices=choices, default=default)
    lower, upper = (int(float(bound)) if parameter.is_integer else float(bound) for bound in limit)
    default = min(max(parameter.default, lower), upper)
    return replace(parameter, lower=lower, upper=upper, default=default)


def _reachable(
    parameter: Hyperparameter, kept: Mapping[str, Hyperparameter]
) -> Hyperparameter | None:
    """The hyperparameter without idle conditions; None where no choice left activates it."""
    if not parameter.conditions:
        return parameter
    conditions: list[Condition] = []
    for condition in parameter.conditions:
        parent = kept.get(condition.parent)
        if parent is None:
            continue
        possible = values_of(parent)
        values = tuple(value for value in condition.values if value in possible)
        if not values:
            continue
        if len(values) == len(possible):
            # As good as the parent's own conditions.
            if not parent.conditions:
                return replace(parameter, conditions=())
            conditions += parent.conditions
        else:
            conditions.append(replace(condition, values=values))
    if not conditions:
        return None
    return replace(parameter, conditions=tuple(conditions))
