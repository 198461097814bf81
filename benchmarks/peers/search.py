"""What an optimizer is built from. Every method, ours or not, is a `Factory`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from frnas_search.coordinator.optimizer import Optimizer
    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search to come.

    Attributes:
        space: The method's own copy.
        budget: In full evaluations, for methods whose settings depend on it.
    """

    space: ConfigurationSpace
    objectives: tuple[Objective, ...]
    fidelity: Fidelity
    seed: int
    budget: int

    @property
    def last_rung(self) -> int:
        """That of full evaluations."""
        return self.fidelity.n_rungs - 1

    @property
    def names(self) -> list[str]:
        """Of the objectives."""
        return [each.name for each in self.objectives]


Factory: TypeAlias = Callable[[Search], "Optimizer"]
