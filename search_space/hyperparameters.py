"""The hyperparameters of a space as plain records, defined once for sampling and decoding.

`space` turns them into a ConfigSpace, `decode` checks configurations against them; neither repeats
a name, a choice or a bound. Must import no heavy library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from search_space.candidate import OPTIMIZERS, PAPER_HEADS, SpaceSettings
from search_space.families import families_in_use

ARCHITECTURE = "architecture"
EDGES = ("edge1", "edge2", "edge3")
FAMILY = "timm.family"
HEAD = "head"
OPTIMIZER = "optimizer"
LEARNING_RATE_ADAM = "lr_adam"
LEARNING_RATE_SGD = "lr_sgd"

# Index = 3 * kind + kernel, with the kernels in the order 3, 1, 5: published cells such as "301"
# are only right in this order.
OPERATION_NAMES = tuple(
    f"{kind}{kernel}x{kernel}"
    for kind in ("BnActConv", "Conv", "ConvBnAct")
    for kernel in (3, 1, 5)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A hyperparameter exists only where `parent` is active and has one of `values`."""

    parent: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A categorical hyperparameter."""

    name: str
    choices: tuple[str, ...]
    default: str
    condition: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRange:
    """A float hyperparameter, log-uniform between two bounds, both included."""

    name: str
    lower: float
    upper: float
    default: float
    condition: Condition | None = None


Hyperparameter: TypeAlias = Choice | LogRange


def variant_name(family: str) -> str:
    """The name of the hyperparameter that chooses among the family's variants."""
    return f"timm.variant.{family}"


def hyperparameters(settings: SpaceSettings) -> tuple[Hyperparameter, ...]:
    """All hyperparameters of the space, each after its parent."""
    architecture: tuple[Hyperparameter, ...]
    if settings.preset == "paper":
        architecture = _edges(None)
    elif settings.preset == "timm":
        architecture = _backbones(settings, None)
    else:
        kind = Choice(name=ARCHITECTURE, choices=("dual_path", "timm"), default="dual_path")
        architecture = (
            kind,
            *_edges(Condition(parent=ARCHITECTURE, values=("dual_path",))),
            *_backbones(settings, Condition(parent=ARCHITECTURE, values=("timm",))),
        )
    return (*architecture, *_head_and_optimizer())


def n_discrete_combinations(space: tuple[Hyperparameter, ...]) -> int:
    """How many different choices there are, the learning rates left aside."""
    choices = [parameter for parameter in space if isinstance(parameter, Choice)]
    roots = [choice for choice in choices if choice.condition is None]
    return math.prod(_n_combinations(root, choices) for root in roots)


def _n_combinations(choice: Choice, choices: list[Choice]) -> int:
    total = 0
    for value in choice.choices:
        children = [child for child in choices if _is_child(child, choice.name, value)]
        total += math.prod(_n_combinations(child, choices) for child in children)
    return total


def _is_child(child: Choice, parent: str, value: str) -> bool:
    condition = child.condition
    return condition is not None and condition.parent == parent and value in condition.values


def _edges(condition: Condition | None) -> tuple[Hyperparameter, ...]:
    codes = tuple(str(code) for code in range(len(OPERATION_NAMES)))
    return tuple(
        Choice(name=name, choices=codes, default=default, condition=condition)
        for name, default in zip(EDGES, ("2", "0", "1"), strict=True)
    )


def _backbones(settings: SpaceSettings, condition: Condition | None) -> tuple[Hyperparameter, ...]:
    families = families_in_use(settings)
    names = tuple(families)
    variants = tuple(
        Choice(
            name=variant_name(family),
            choices=choices,
            default=choices[0],
            condition=Condition(parent=FAMILY, values=(family,)),
        )
        for family, choices in families.items()
    )
    return (Choice(name=FAMILY, choices=names, default=names[0], condition=condition), *variants)


def _head_and_optimizer() -> tuple[Hyperparameter, ...]:
    return (
        Choice(name=HEAD, choices=PAPER_HEADS, default="CosFace"),
        Choice(name=OPTIMIZER, choices=OPTIMIZERS, default="Adam"),
        LogRange(
            name=LEARNING_RATE_ADAM,
            lower=1e-5,
            upper=1e-2,
            default=1e-3,
            condition=Condition(parent=OPTIMIZER, values=("Adam", "AdamW")),
        ),
        LogRange(
            name=LEARNING_RATE_SGD,
            lower=0.09,
            upper=0.8,
            default=0.1,
            condition=Condition(parent=OPTIMIZER, values=("SGD",)),
        ),
    )
