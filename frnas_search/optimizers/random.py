"""Random search: every proposal is drawn from the space and the user's priors, results or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frnas_search.optimizers.constraint import Accepts
from frnas_search.optimizers.pool import Pool, Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frnas_search.coordinator.optimizer import Proposal
    from frnas_search.optimizers.fidelity import Fidelity
    from results.trial import Configuration


class RandomOptimizer:
    """Keeps the rules of `frnas_search.coordinator.optimizer.Optimizer`; the highest rung only."""

    def __init__(
        self,
        space: Space,
        fidelity: Fidelity,
        *,
        seed: int,
        enqueued: Sequence[Configuration] = (),
        accepts: Accepts | None = None,
    ) -> None:
        """An optimizer of the space.

        Args:
            space: What configurations are drawn from.
            fidelity: Of which the highest rung is used.
            seed: Of everything that is drawn.
            enqueued: Configurations of the space, proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else.
        """
        rung = fidelity.n_rungs - 1
        self._pool = Pool(space, rung=rung, seed=seed, enqueued=enqueued, accepts=accepts)

    def ask(self) -> Proposal | None:
        """What is enqueued, then a new draw; None when there is none, or none is found."""
        proposal = self._pool.first_enqueued() or self._pool.drawn()
        if proposal is not None:
            self._pool.take(proposal)
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Take note that it is there; no result changes what is drawn."""
        del costs
        self._pool.told(proposal)

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is proposed; empty when the space is used up."""
        return self._pool.why_nothing()

    def restore(self, proposal: Proposal) -> None:
        """Take it as asked."""
        self._pool.take(proposal)
