"""Which hyperparameters of a conditional space are active, for optimizers that know none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ConfigSpace import ConfigurationSpace
from ConfigSpace.types import NotSet


def active_values(
    space: ConfigurationSpace, choose: Callable[[Any], Any]
) -> dict[str, bool | int | float | str]:
    """A configuration, chosen from the top of the space's hierarchy down.

    Args:
        space: Its hyperparameters come parents first.
        choose: The value for a hyperparameter; called for active ones only.
    """
    values: dict[str, Any] = dict.fromkeys(space, NotSet)
    for name in space:
        conditions = space.parent_conditions_of[name]
        if all(condition.satisfied_by_value(values) for condition in conditions):
            values[name] = choose(space[name])
    return {name: value for name, value in values.items() if value is not NotSet}
