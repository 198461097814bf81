"""Random search at the full fidelity: what every method has to beat."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.peers.search import Search
from frnas_search.coordinator.optimizer import Proposal
from search_space.definition.space import plain


class RandomSearch:
    """Draws from the space; learns nothing."""

    def __init__(self, search: Search) -> None:
        self._space = search.space
        self._space.seed(search.seed)
        self._rung = search.last_rung

    def ask(self) -> Proposal:
        """A configuration for a full evaluation."""
        drawn = self._space.sample_configuration()
        return Proposal(configuration=plain(drawn), rung=self._rung)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Nothing to be learned."""
