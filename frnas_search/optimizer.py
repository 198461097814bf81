"""What the coordinator needs of an optimizer: ask for a proposal, tell what came of it.

An optimizer is a deterministic function of its seed and of the order of `ask` and `tell` calls.
That is what makes the event log the only state: replaying the calls gives the same optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from results.trial import Configuration, TrialRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A configuration to be trained to a rung, 0 the cheapest."""

    configuration: Configuration
    rung: int


def proposal_of(request: TrialRequest) -> Proposal:
    """What an optimizer proposed when this was asked."""
    return Proposal(configuration=dict(request.configuration), rung=request.rung)


class Optimizer(Protocol):
    """Not safe for threads: one caller, one call at a time."""

    def ask(self) -> Proposal | None:
        """The next proposal; None when the space holds nothing that was not proposed already."""

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Take the result of a proposal that `ask` returned.

        Args:
            proposal: One that was asked and not yet told.
            costs: One finite value for each objective, or None for a failed trial.

        Raises:
            KeyError: The proposal is not waiting for a result.
        """
