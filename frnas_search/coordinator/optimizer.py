"""What the coordinator needs of an optimizer: ask for a proposal, tell what came of it.

An optimizer is a pure function of its seed and its history, the proposals that were asked and told
in their order; never of the random numbers that it has drawn on the way. So it draws each proposal
from a generator of that proposal's own, made from the seed and the number of proposals before it.
That is what makes the event log the only state: an optimizer that is given the log's history goes
on as the one that wrote it, without computing any of it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from results.trial import Configuration, Origin, TrialRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A configuration to be trained to a rung, 0 the cheapest.

    Attributes:
        origin: Why it is proposed; tells no proposal from another.
    """

    configuration: Configuration
    rung: int
    origin: Origin = field(default="", compare=False)


def proposal_of(request: TrialRequest) -> Proposal:
    """What an optimizer proposed when this was asked."""
    return Proposal(
        configuration=dict(request.configuration), rung=request.rung, origin=request.origin
    )


class Optimizer(Protocol):
    """Not safe for threads: one caller, one call at a time.

    Rules that every implementation keeps:

    * No configuration is proposed twice at a rung, whatever came of it.
    * Every proposal lies in the space, keeps its constraints and names a rung of the schedule.
    * What is enqueued is proposed before anything else.
    * It ends: after finitely many proposals a finite space gives None with nothing in flight.
    """

    def ask(self) -> Proposal | None:
        """The next proposal; None when nothing can be proposed now.

        None changes nothing: asked again, the optimizer gives None again until it is told a
        result, which may justify a promotion. It is final when every proposal was told.
        """

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Take the result of a proposal that `ask` returned or `restore` took.

        Args:
            proposal: One that was asked and not yet told.
            costs: One finite value for each objective, or None for a failed trial.

        Raises:
            KeyError: The proposal is not waiting for a result.
        """

    def restore(self, proposal: Proposal) -> None:
        """Take a proposal of an earlier session as asked, in the place of `ask`.

        Args:
            proposal: What an optimizer of the same kind, space and seed proposed after the same
                history.

        Raises:
            ReplayError: It cannot be what such an optimizer proposed.
        """


@runtime_checkable
class Explaining(Protocol):
    """An optimizer that can say why it has nothing to propose, besides that all was proposed."""

    def why_nothing(self) -> str:
        """A sentence without its full stop; empty when the space is used up."""


def why_nothing(optimizer: Optimizer) -> str:
    """Why an optimizer that gave None has nothing; empty when the space is used up."""
    return optimizer.why_nothing() if isinstance(optimizer, Explaining) else ""
