"""SMAC's selector of configurations: hands out what the engine proposes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ConfigSpace import Configuration as SpaceConfiguration
from smac import Scenario
from smac.main.config_selector import ConfigSelector

from search_space.definition.space import plain

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.proposal_queue import ProposalQueue


class Selector(ConfigSelector):
    """New configurations as SMAC's own objects, from the queue of proposals."""

    def __init__(self, scenario: Scenario, *, queue: ProposalQueue) -> None:
        super().__init__(scenario)
        self._queue = queue

    def __iter__(self) -> Iterator[SpaceConfiguration]:
        return self

    def __next__(self) -> SpaceConfiguration:
        vector = self._queue.next()
        if vector is None:
            raise StopIteration
        drawn = SpaceConfiguration(self._scenario.configspace, vector=vector)
        # By its values, as a replay does: a vector may differ from that in its last bits.
        return SpaceConfiguration(self._scenario.configspace, values=plain(drawn))
