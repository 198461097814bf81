"""The bookkeeping of trials: what was proposed and what came of it, by configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frnas_search.optimizers.smac.history import History
    from frnas_search.optimizers.smac.promotion import AsynchronousHyperband
    from frnas_search.optimizers.smac.proposal_queue import ProposalQueue

Configured: TypeAlias = Any
"""ConfigSpace's configuration."""


@dataclass(slots=True, kw_only=True)
class Bookkeeping:
    """Maps SMAC's configurations to the numbers by which the engine's parts know them.

    Looking for the next trial changes nothing here; `take` records the choice.

    Attributes:
        history: Vectors and results.
        hyperband: Promotions.
        queue: Proposals of new configurations.
        configurations: By number.
        numbers: Configuration -> number.
    """

    history: History
    hyperband: AsynchronousHyperband
    queue: ProposalQueue
    configurations: list[Configured] = field(default_factory=list)
    numbers: dict[Configured, int] = field(default_factory=dict)

    def promotion(self) -> tuple[Configured, int] | None:
        """A configuration to promote, and to which rung; None when it is nobody's turn."""
        found = self.hyperband.promotion()
        return None if found is None else (self.configurations[found[0]], found[1])

    def fallback_promotion(self) -> tuple[Configured, int] | None:
        """One to promote before its turn, for when there is no new configuration."""
        found = self.hyperband.fallback_promotion()
        return None if found is None else (self.configurations[found[0]], found[1])

    def may_take(self, configuration: Configured, rung: int) -> bool:
        """Whether the configuration is new, or may be promoted to the rung."""
        number = self.numbers.get(configuration)
        if number is None:
            return 0 <= rung < self.hyperband.n_rungs
        return self.hyperband.may_promote(number, rung)

    def take(self, configuration: Configured, rung: int) -> None:
        """The configuration is trained to the rung from now on."""
        number = self.numbers.get(configuration)
        if number is None:
            vector = configuration.get_array()
            number = self.history.add(vector)
            self.configurations.append(configuration)
            self.numbers[configuration] = number
            self.hyperband.started(rung)
            self.queue.taken(vector)
        else:
            self.hyperband.promoted(number, rung)
        self.history.asked(number, rung)
        self.queue.changed()

    def told(self, configuration: Configured, rung: int, costs: Sequence[float] | None) -> None:
        """A result; None of a failure."""
        number = self.numbers[configuration]
        self.history.told(number, rung, costs)
        self.hyperband.told(number, rung, costs)
        self.queue.changed()
