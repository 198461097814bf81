"""What a search has paid, in full evaluations. The same for every method."""

from __future__ import annotations

from collections.abc import Sequence

from frnas_search.coordinator.optimizer import Proposal
from results.trial import ConfigurationKey, configuration_key


class Ledger:
    """Counts each configuration's training once.

    Training goes on from the checkpoint of the highest rung paid for, so that a rung costs its
    difference to that one, and what was evaluated before costs nothing.
    """

    def __init__(self, rungs: Sequence[float]) -> None:
        self._rungs = rungs
        self._paid: dict[ConfigurationKey, float] = {}
        self.spent = 0.0

    def price(self, proposal: Proposal) -> float:
        """What the proposal would cost now, in full evaluations."""
        paid = self._paid.get(configuration_key(proposal.configuration), 0.0)
        return max(0.0, self._rungs[proposal.rung] - paid)

    def pay(self, proposal: Proposal) -> None:
        """Take the proposal's price."""
        self.spent += self.price(proposal)
        key = configuration_key(proposal.configuration)
        self._paid[key] = max(self._paid.get(key, 0.0), self._rungs[proposal.rung])
