"""Configurations of a space, each of which is proposed once, to be trained to the highest rung.

What samplers without rungs share: what is enqueued, what may be proposed, draws at random.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace import ConfigurationSpace

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from results.trial import configuration_key
from search_space.definition.space import plain

if TYPE_CHECKING:
    from results.trial import Configuration, ConfigurationKey, Origin

Space: TypeAlias = ConfigurationSpace
Accepts: TypeAlias = Callable[[Mapping[str, bool | int | float | str]], bool]

# Draws for one proposal. When all were proposed before or are not accepted the space counts as
# exhausted; few at first, for the first one nearly always will do.
_BATCHES = (4, 50, 450, 1500)


def seed_of_proposal(seed: int, n_before: int) -> int:
    """The seed of all that is drawn for one proposal, 0 to 2**32 - 1.

    Args:
        seed: Of the whole search.
        n_before: Proposals before this one.
    """
    return int(np.random.SeedSequence((seed, n_before)).generate_state(1)[0])


class Pool:
    """A function of what was taken from it, in that order, and of its seed."""

    def __init__(
        self,
        space: Space,
        *,
        rung: int,
        seed: int,
        enqueued: Sequence[Configuration],
        accepts: Accepts,
    ) -> None:
        """A pool from which nothing was taken.

        Args:
            space: Configurations are drawn from it, user's priors included. Left as it is.
            rung: Of every proposal.
            seed: Of all draws.
            enqueued: Configurations of the space, to be proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else.
        """
        self._space = copy.deepcopy(space)
        self._rung = rung
        self._seed = seed
        self._accepts = accepts
        self._enqueued = [
            plain(SpaceConfiguration(space, values=dict(configuration)))
            for configuration in enqueued
        ]
        self._taken: set[ConfigurationKey] = set()
        self._waiting: set[ConfigurationKey] = set()

    @property
    def n_taken(self) -> int:
        """Proposals so far."""
        return len(self._taken)

    @property
    def next_seed(self) -> int:
        """Of what else is drawn for the next proposal."""
        return seed_of_proposal(self._seed, self.n_taken)

    def is_legal(self, configuration: Configuration) -> bool:
        """Whether the space has this configuration."""
        try:
            SpaceConfiguration(self._space, values=dict(configuration))
        except ValueError:
            return False
        return True

    def is_new(self, configuration: Configuration) -> bool:
        """Whether it was not proposed before and is accepted."""
        return configuration_key(configuration) not in self._taken and self._accepts(configuration)

    def proposal(self, configuration: Configuration, origin: Origin) -> Proposal:
        """The configuration at the rung of all."""
        return Proposal(configuration=configuration, rung=self._rung, origin=origin)

    def first_enqueued(self) -> Proposal | None:
        """What of the enqueued configurations comes next, None when all were proposed."""
        return next(
            (
                self.proposal(configuration, "enqueued")
                for configuration in self._enqueued
                if self.is_new(configuration)
            ),
            None,
        )

    def drawn(self) -> Proposal | None:
        """A new configuration at random; None when the space counts as exhausted."""
        self._space.seed(self.next_seed)
        for size in _BATCHES:
            for sample in self._space.sample_configuration(size=size):
                if self.is_new(configuration := plain(sample)):
                    return self.proposal(configuration, "random")
        return None

    def take(self, proposal: Proposal) -> None:
        """Note a proposal as made.

        Raises:
            ReplayError: It is of another space or rung, or was made before.
        """
        key = configuration_key(proposal.configuration)
        if proposal.rung != self._rung:
            raise ReplayError(f"the log holds {proposal}, but all are made for rung {self._rung}")
        if not self.is_legal(proposal.configuration):
            raise ReplayError(f"the log holds {proposal}, which the space does not have")
        if key in self._taken:
            raise ReplayError(f"the log holds {proposal} twice")
        self._taken.add(key)
        self._waiting.add(key)

    def told(self, proposal: Proposal) -> None:
        """Note that the result of a proposal is there.

        Raises:
            KeyError: It is not waiting for one.
        """
        if proposal.rung != self._rung:
            raise KeyError(proposal)
        self._waiting.remove(configuration_key(proposal.configuration))
