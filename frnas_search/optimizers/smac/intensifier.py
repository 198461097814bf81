"""What was proposed and what came of it, by configuration: between SMAC's objects and arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frnas_search.optimizers.smac.history import History
    from frnas_search.optimizers.smac.promotion import AsynchronousHyperband
    from frnas_search.optimizers.smac.selector import Ahead

Configured: TypeAlias = Any
"""ConfigSpace's configuration."""


@dataclass(slots=True, kw_only=True)
class Board:
    """Configurations with their numbers, between SMAC's objects and the engine's arrays.

    Nothing here changes while a trial is looked for; `take` makes a choice come true.
    """

    history: History
    hyperband: AsynchronousHyperband
    ahead: Ahead
    configurations: list[Configured] = field(default_factory=list)
    numbers: dict[Configured, int] = field(default_factory=dict)

    def raised(self) -> tuple[Configured, int] | None:
        """A configuration that should go on."""
        found = self.hyperband.promotion()
        return None if found is None else (self.configurations[found[0]], found[1])

    def left(self) -> tuple[Configured, int] | None:
        """A configuration that may go on when there is no new one."""
        found = self.hyperband.leftover()
        return None if found is None else (self.configurations[found[0]], found[1])

    def may_take(self, configuration: Configured, rung: int) -> bool:
        """Whether the configuration is new, or may go on to the rung."""
        number = self.numbers.get(configuration)
        if number is None:
            return 0 <= rung < self.hyperband.n_rungs
        return self.hyperband.may_be_raised(number, rung)

    def take(self, configuration: Configured, rung: int) -> None:
        """The configuration is trained to the rung from now on."""
        number = self.numbers.get(configuration)
        if number is None:
            vector = configuration.get_array()
            number = self.history.add(vector)
            self.configurations.append(configuration)
            self.numbers[configuration] = number
            self.hyperband.started(rung)
            self.ahead.taken(vector)
        else:
            self.hyperband.raised(number, rung)
        self.history.asked(number, rung)
        self.ahead.changed()

    def told(self, configuration: Configured, rung: int, costs: Sequence[float] | None) -> None:
        """A result; None of a failure."""
        number = self.numbers[configuration]
        self.history.told(number, rung, costs)
        self.hyperband.told(number, rung, costs)
        self.ahead.changed()
