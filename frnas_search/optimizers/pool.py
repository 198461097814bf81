"""Configurations of a space, each of which is proposed once, to be trained to the highest rung.

What samplers without rungs share: what is enqueued, what may be proposed, draws at random.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace import ConfigurationSpace

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from frnas_search.optimizers.constraint import Accepts
from frnas_search.optimizers.feasible import Feasible
from frnas_search.optimizers.smac.arrays import VectorSpace
from results.trial import configuration_key
from search_space.definition.space import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from results.pareto import FloatArray
    from results.trial import Configuration, ConfigurationKey, Origin

Space: TypeAlias = ConfigurationSpace

# Draws for one proposal, few at first, for the first one nearly always will do. What keeps within
# constraints may be rarer than that, and is sought in other ways after the first of them.
_BATCHES = (4, 50, 450, 1500)
_N_BATCHES_CONSTRAINED = 2

_N_PROBED = 1000
_LEAST_LEGAL = 0.02
"""Share of what forbidden clauses leave, below which ConfigSpace's own draws take too long."""


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
        accepts: Accepts | None,
    ) -> None:
        """A pool from which nothing was taken.

        Args:
            space: Configurations are drawn from it, user's priors included. Left as it is.
            rung: Of every proposal.
            seed: Of all draws.
            enqueued: Configurations of the space, to be proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else. None
                accepts every one.
        """
        self._space = copy.deepcopy(space)
        self._vectors = VectorSpace(self._space)
        self._feasible = Feasible(self._vectors, accepts, seed=seed)
        self._rung = rung
        self._seed = seed
        self._accepts = accepts
        self._enqueued = [
            plain(SpaceConfiguration(space, values=dict(configuration)))
            for configuration in enqueued
        ]
        self._taken: set[ConfigurationKey] = set()
        self._known: list[FloatArray] = []
        self._n_without_any: int | None = None
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
        if configuration_key(configuration) in self._taken:
            return False
        return self.is_accepted(configuration)

    def is_accepted(self, configuration: Configuration) -> bool:
        """Whether it may be proposed, before or now."""
        return self._accepts is None or self._accepts(configuration)

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
        """A new configuration at random; None when none is left, or can be found.

        Where next to nothing is accepted it may be a neighbour of one that was proposed.
        """
        if self._n_without_any == self.n_taken:
            return None
        configuration = self._sampled() or self._first_new(self._feasible.sought(self._proposed()))
        if configuration is None:
            self._n_without_any = self.n_taken
            return None
        return self.proposal(configuration, "random")

    def towards(self, configuration: Configuration) -> Proposal | None:
        """A new one that has much of a configuration that is not accepted, None without any."""
        wanted = SpaceConfiguration(self._space, values=dict(configuration)).get_array()
        generator = np.random.default_rng(self.next_seed)
        found = self._first_new([self._feasible.towards(wanted, self._proposed(), generator)])
        return None if found is None else self.proposal(found, "model")

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is proposed; empty when the space is used up."""
        return self._feasible.why_nothing()

    def _sampled(self) -> Configuration | None:
        """Of ConfigSpace's own draws the first that is new and accepted."""
        if self._is_mostly_forbidden:
            return None
        self._space.seed(self.next_seed)
        for size in _BATCHES if self._accepts is None else _BATCHES[:_N_BATCHES_CONSTRAINED]:
            for sample in self._space.sample_configuration(size=size):
                if self.is_new(configuration := plain(sample)):
                    return configuration
        return None

    def _first_new(self, batches: Iterable[FloatArray]) -> Configuration | None:
        return next(filter(self.is_new, self._configurations(batches)), None)

    def _configurations(self, batches: Iterable[FloatArray]) -> Iterator[Configuration]:
        for batch in batches:
            for vector in batch:
                yield plain(SpaceConfiguration(self._space, vector=vector))

    def _proposed(self) -> FloatArray:
        """What was proposed, shape (n, d)."""
        return np.array(self._known, float).reshape(len(self._known), self._vectors.n_dimensions)

    @cached_property
    def _is_mostly_forbidden(self) -> bool:
        if not self._space.forbidden_clauses:
            return False
        found = self._vectors.sampled(_N_PROBED, np.random.default_rng(self._seed))
        return len(found) < _LEAST_LEGAL * _N_PROBED

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
        configuration = SpaceConfiguration(self._space, values=dict(proposal.configuration))
        self._known.append(configuration.get_array())

    def told(self, proposal: Proposal) -> None:
        """Note that the result of a proposal is there.

        Raises:
            KeyError: It is not waiting for one.
        """
        if proposal.rung != self._rung:
            raise KeyError(proposal)
        self._waiting.remove(configuration_key(proposal.configuration))
