"""SMAC's intensifier: which configuration is trained next, and to which rung."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from ConfigSpace import Configuration as SpaceConfiguration
from smac import Callback, Scenario
from smac.intensifier.abstract_intensifier import AbstractIntensifier
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

if TYPE_CHECKING:
    from smac.main.smbo import SMBO

    from frnas_search.optimizers.smac.bookkeeping import Bookkeeping


class Intensifier(AbstractIntensifier):
    """Asynchronous Hyperband in SMAC's terms: the next trial, whenever it is asked for one."""

    def __init__(
        self, scenario: Scenario, *, bookkeeping: Bookkeeping, budgets: tuple[float, ...]
    ) -> None:
        super().__init__(scenario, n_seeds=1, max_config_calls=None, seed=scenario.seed)
        self._bookkeeping = bookkeeping
        self._budgets = budgets

    uses_seeds = True
    uses_budgets = True
    uses_instances = False
    uses_cutoffs = False

    def __iter__(self) -> Iterator[TrialInfo]:
        return _Trials(self)

    def next_trial(self) -> TrialInfo:
        """A promotion, else a new configuration, else a promotion before its turn.

        Raises:
            StopIteration: There is nothing now; after the next result there may be.
        """
        chosen = (
            self._bookkeeping.promotion() or self._new() or self._bookkeeping.fallback_promotion()
        )
        if chosen is None:
            raise StopIteration
        self._bookkeeping.take(*chosen)
        return self.trial(*chosen)

    def trial(self, configuration: SpaceConfiguration, rung: int) -> TrialInfo:
        """What SMAC calls training a configuration to a rung."""
        return TrialInfo(config=configuration, seed=self._seed, budget=self._budgets[rung])

    def _new(self) -> tuple[SpaceConfiguration, int] | None:
        configuration = next(self.config_generator, None)
        if configuration is None:
            return None
        return configuration, self._bookkeeping.hyperband.starting_rung()

    def update_incumbents(self, config: SpaceConfiguration) -> None:
        """Nothing: the front is ours."""

    def get_callback(self) -> Callback:
        """What SMAC calls with every result."""
        return _ResultCallback(self._bookkeeping, self._budgets)


class _Trials:
    """An iterator that may have nothing now and something later."""

    def __init__(self, intensifier: Intensifier) -> None:
        self._intensifier = intensifier

    def __iter__(self) -> _Trials:
        return self

    def __next__(self) -> TrialInfo:
        return self._intensifier.next_trial()


class _ResultCallback(Callback):
    """Passes every result on to the bookkeeping."""

    def __init__(self, bookkeeping: Bookkeeping, budgets: tuple[float, ...]) -> None:
        self._bookkeeping = bookkeeping
        self._budgets = budgets

    def on_tell_end(self, smbo: SMBO, info: TrialInfo, value: TrialValue) -> None:
        """A trial has ended."""
        del smbo
        is_failure = value.status != StatusType.SUCCESS
        costs = None if is_failure else np.atleast_1d(value.cost).tolist()
        self._bookkeeping.told(info.config, self._budgets.index(info.budget), costs)
