"""What a method is and what it is built from. Every method, ours or not, has a `Factory`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ConfigSpace import ConfigurationSpace

    from frnas_search.coordinator.optimizer import Proposal
    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search to come.

    Attributes:
        space: The method's own copy.
        budget: In full evaluations, for the methods in `NEEDS_ITS_BUDGET`; others ignore it.
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
        return [objective.name for objective in self.objectives]


class Method(Protocol):
    """What benchmarks drive: the part of an `Optimizer` that peers have too. None is restored."""

    def ask(self) -> Proposal | None:
        """The next proposal; None when nothing can be proposed now."""

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Take the result of a proposal; None for a failed trial."""


Factory: TypeAlias = Callable[[Search], Method]
