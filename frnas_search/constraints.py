"""Constraints on what a candidate may cost, known before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_space.prediction import predicted_cost

if TYPE_CHECKING:
    from frnas_search.optimizer import Optimizer, Proposal
    from search_space.candidate import Candidate
    from search_space.prediction import Cost
    from search_space.variants import VariantRecord

logger = logging.getLogger(__name__)

# Proposals in a row that cost too much, after which there is taken to be nothing cheaper.
MOST_REFUSALS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """What candidates cost for pictures of one size, without building them.

    Attributes:
        backbones: timm variant -> its record, for every variant of the space.
    """

    in_channels: int
    image_size: int
    backbones: Mapping[str, VariantRecord]

    def predicted(self, candidate: Candidate) -> Cost:
        """Parameters and multiply-accumulates of the candidate."""
        return predicted_cost(
            candidate,
            in_channels=self.in_channels,
            image_size=self.image_size,
            backbones=self.backbones,
        )


def violations(cost: Cost, limits: Mapping[str, float]) -> list[str]:
    """Each limit that the cost exceeds, in words; limits on what is only measured are left out.

    Args:
        cost: As predicted.
        limits: As `constraints` in the run file.
    """
    known = {"max_parameters": cost.parameters, "max_macs": cost.macs}
    return [
        f"{name.removeprefix('max_')} {value:,} exceeds {name} {limits[name]:,.0f}"
        for name, value in known.items()
        if name in limits and value > limits[name]
    ]


class ConstrainedOptimizer:
    """An optimizer whose proposals all keep within the constraints.

    What is too large is told to the inner optimizer as failed at once, and costs no trial. That is
    a function of seed and calls like the rest, so a replay of the log comes to the same proposals.
    """

    def __init__(self, inner: Optimizer, refusal: Callable[[Proposal], list[str]]) -> None:
        """Args: what proposes, and why a proposal is refused, nothing if it is not."""
        self._inner = inner
        self._refusal = refusal

    def ask(self) -> Proposal | None:
        """The next proposal within the constraints; None when there is none left to be found."""
        for _ in range(MOST_REFUSALS):
            proposal = self._inner.ask()
            if proposal is None:
                return None
            reasons = self._refusal(proposal)
            if not reasons:
                return proposal
            logger.debug("refused before training: %s", "; ".join(reasons))
            self._inner.tell(proposal, None)
        logger.warning(
            "%d proposals in a row exceed the constraints; loosen them or narrow the space",
            MOST_REFUSALS,
        )
        return None

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Pass the result of a proposal on."""
        self._inner.tell(proposal, costs)
