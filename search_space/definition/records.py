"""A hyperparameter as a plain record: its values, its conditions, and the words for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from search_space.candidate import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds where `parent` is active and has one of `values`."""

    parent: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A categorical hyperparameter; one with a single choice is fixed.

    Attributes:
        conditions: The hyperparameter exists where one of them holds; always if there are none.
    """

    name: str
    choices: tuple[Value, ...]
    default: Value
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A numeric hyperparameter between two bounds, both included.

    Attributes:
        is_log: Uniform in the logarithm.
        is_integer: Whole numbers only.
    """

    name: str
    lower: float
    upper: float
    default: float
    is_log: bool = False
    is_integer: bool = False
    conditions: tuple[Condition, ...] = ()


Hyperparameter: TypeAlias = Choice | Range


def n_discrete_combinations(space: Sequence[Hyperparameter]) -> int:
    """How many different choices there are; ranges of whole numbers count, others do not."""
    discrete = [
        parameter for parameter in space if isinstance(parameter, Choice) or parameter.is_integer
    ]
    roots = [parameter for parameter in discrete if not parameter.conditions]
    return math.prod(_n_combinations(root, discrete) for root in roots)


def values_of(parameter: Hyperparameter) -> tuple[Value, ...]:
    """The choices, or all whole numbers of the range; nothing for other ranges."""
    if isinstance(parameter, Choice):
        return parameter.choices
    if parameter.is_integer:
        return tuple(range(int(parameter.lower), int(parameter.upper) + 1))
    return ()


def accepts(parameter: Hyperparameter, value: object) -> bool:
    """Whether the value is one of the hyperparameter's."""
    if isinstance(parameter, Choice):
        # By type too: 1, 1.0 and True are equal and not the same choice.
        return any(type(value) is type(choice) and value == choice for choice in parameter.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if parameter.is_integer and value != int(value):
        return False
    # A sampler that works in log space may land a rounding error outside its bounds.
    slack = 1e-9 * max(abs(parameter.lower), abs(parameter.upper))
    return parameter.lower - slack <= value <= parameter.upper + slack


def accepted(parameter: Hyperparameter) -> str:
    """What the hyperparameter accepts, in words."""
    if isinstance(parameter, Choice):
        choices = ", ".join(map(str, parameter.choices))
        is_text = all(isinstance(choice, str) for choice in parameter.choices)
        if len(parameter.choices) == 1:
            return f"the {'string' if is_text else 'value'} {choices}"
        return f"one of the {'strings' if is_text else 'values'} {choices}"
    kind = "whole number" if parameter.is_integer else "number"
    return f"a {kind} from {parameter.lower:g} to {parameter.upper:g}"


def condition_words(parameter: Hyperparameter) -> str:
    """Where the hyperparameter exists, in words; empty where always."""
    return ", or ".join(
        f"{condition.parent} = {' or '.join(map(str, condition.values))}"
        for condition in parameter.conditions
    )


def canonical_value(parameter: Hyperparameter, value: Value) -> Value:
    """The value as the hyperparameter writes it, where a person wrote 3 for "3" or 1 for 1.0.

    A value that is none of the hyperparameter's comes back as it is.
    """
    if accepts(parameter, value):
        if isinstance(parameter, Choice) or isinstance(value, str):
            return value
        return int(value) if parameter.is_integer else float(value)
    if isinstance(value, bool):
        return value
    if isinstance(parameter, Range):
        # YAML 1.1 reads 1e-3, which has no dot, as text.
        number = _number(value)
        return value if number is None else canonical_value(parameter, number)
    for choice in parameter.choices:
        is_same_number = not isinstance(choice, str) and choice == value
        if is_same_number or (isinstance(choice, str) and choice == str(value)):
            return choice
    return value


def _number(value: Value) -> float | None:
    """The number that a text is; None where it is none or no text."""
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _n_combinations(parameter: Hyperparameter, discrete: Sequence[Hyperparameter]) -> int:
    total = 0
    for value in values_of(parameter):
        children = [child for child in discrete if _is_child(child, parameter.name, value)]
        total += math.prod(_n_combinations(child, discrete) for child in children)
    return total


def _is_child(child: Hyperparameter, parent: str, value: Value) -> bool:
    return any(
        condition.parent == parent and value in condition.values for condition in child.conditions
    )
