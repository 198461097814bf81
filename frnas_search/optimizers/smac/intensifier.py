"""SMAC's intensifier: which configuration is trained next, and to which rung."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration
from smac import Callback, Scenario
from smac.intensifier.abstract_intensifier import AbstractIntensifier
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.runhistory.dataclasses import TrialInfo, TrialKey, TrialValue
from smac.runhistory.enumerations import StatusType

from frnas_search.optimizers.smac.candidates import key_of
from frnas_search.optimizers.smac.promotion import Promotions
from frnas_search.optimizers.smac.rungs import Rungs

if TYPE_CHECKING:
    from smac.main.smbo import SMBO

    from results.pareto import FloatArray


_MOST_REPEATED = 16
"""Configurations in a row that are not new, after which none is left."""


class AsynchronousHyperband(AbstractIntensifier):
    """Hyperband over several objectives that never waits: the next trial whenever it is asked.

    Its state follows from SMAC's run history, which may be filled by asking, by telling or by
    loading one; trials that a loaded history calls running are handed out again.

    Args:
        scenario: SMAC's; without budgets every configuration is trained once.
        eta: One in so many is promoted; the factor between budgets.
        limits: Shape (m,); the largest cost that is wanted of each objective. None is no limit.

    Raises:
        ValueError: The scenario has instances, or budgets that are none.
    """

    def __init__(
        self, scenario: Scenario, *, eta: int = 3, limits: FloatArray | None = None
    ) -> None:
        if scenario.instances is not None:
            raise ValueError("instances are not trained one by one; use an intensifier of SMAC's")
        self._rungs = Rungs.of(scenario, eta)
        self._limits = limits
        super().__init__(scenario, n_seeds=1, max_config_calls=None, seed=scenario.seed)

    uses_seeds = True
    uses_instances = False
    uses_cutoffs = False

    @property
    def uses_budgets(self) -> bool:
        """Whether the scenario has any."""
        return self._rungs.max_budget is not None

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments."""
        limits = None if self._limits is None else self._limits.tolist()
        return {**super().meta, "eta": self._rungs.eta, "limits": limits}

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self._promotions = Promotions(self._rungs.n, self._rungs.eta, limits=self._limits)
        self._configurations: list[Configuration] = []
        self._numbers: dict[bytes, int] = {}
        self._front: list[tuple[Configuration, FloatArray]] = []
        self._taken: set[tuple[int | None, int]] = set()
        self._told: set[tuple[int | None, int]] = set()
        self._interrupted: deque[TrialInfo] = deque()
        self._has_read_history = False

    def __iter__(self) -> Iterator[TrialInfo]:
        return _Trials(self)

    def next_trial(self) -> TrialInfo:
        """A promotion, else a new configuration, else a promotion before its turn.

        Raises:
            StopIteration: There is nothing now; after the next result there may be.
        """
        self._read_history()
        if self._interrupted:
            return self._interrupted.popleft()
        return self._promoted(self._promotions.promotion()) or self._new() or self._leftover()

    def may_take(self, configuration: Configuration, rung: int) -> bool:
        """Whether the configuration is new, or may be promoted to the rung."""
        number = self._numbers.get(key_of(configuration))
        if number is None:
            return 0 <= rung < self._rungs.n
        return self._promotions.may_promote(number, rung)

    def take(self, configuration: Configuration, rung: int) -> TrialInfo:
        """The trial of a configuration that is trained to the rung from now on."""
        key = key_of(configuration)
        number = self._numbers.get(key)
        if number is None:
            self._numbers[key] = len(self._configurations)
            self._configurations.append(configuration)
            self._promotions.started(rung)
        elif rung > 0:
            self._promotions.promoted(number, rung)
        self._taken.add((self._numbers[key], rung))
        budget = self._rungs.budget(rung)
        return TrialInfo(config=configuration, seed=self._seed, budget=budget)

    def told(self, info: TrialInfo, value: TrialValue) -> None:
        """A result; of a trial that was never asked, too."""
        rung = self._rungs.rung(info.budget)
        if (self._numbers.get(key_of(info.config)), rung) not in self._taken:
            self.take(info.config, rung)
        number = self._numbers[key_of(info.config)]
        is_failure = value.status != StatusType.SUCCESS or not np.isfinite(value.cost).all()
        costs = None if is_failure else np.atleast_1d(value.cost).tolist()
        self._told.add((number, rung))
        self._promotions.told(number, rung, costs)

    def update_incumbents(self, config: Configuration) -> None:
        """Keep those that nobody dominates at the highest rung, and within limits if there are.

        Overrides SMAC's, which compares costs at different budgets, fails where incumbents share
        none, and keeps ten at most.
        """
        costs = self._top_costs(config)
        if costs is None or (self._limits is not None and (costs > self._limits).any()):
            return
        before, key = self._known_front(), key_of(config)
        others = [point for point in before if key_of(point[0]) != key]
        if any((other <= costs).all() for _, other in others):
            return
        kept = [point for point in others if not (costs <= point[1]).all()]
        self._front = [*kept, (config, costs)]
        if len(kept) != len(before) - 1 or len(others) == len(before):
            self._update_trajectory([each for each, _ in self._front])

    def _known_front(self) -> list[tuple[Configuration, FloatArray]]:
        """The incumbents with their costs; those that SMAC has loaded, too."""
        incumbents = self.get_incumbents()
        if len(self._front) != len(incumbents):
            costs = [(each, self._top_costs(each)) for each in incumbents]
            self._front = [(each, known) for each, known in costs if known is not None]
        return self._front

    def get_trials_of_interest(
        self, config: Configuration, *, validate: bool = False, seed: int | None = None
    ) -> list[TrialInfo]:
        """Those by which a configuration is judged: at the highest budget."""
        found = super().get_trials_of_interest(config, validate=validate, seed=seed)
        return [replace(each, budget=self._rungs.budget(self._rungs.last)) for each in found]

    def get_callback(self) -> Callback:
        """What SMAC calls with every result."""
        return _Results(self)

    def _top_costs(self, configuration: Configuration) -> FloatArray | None:
        """At the highest rung, shape (m,); None without a success there."""
        history = self.runhistory
        for trial in history.get_trials(configuration):
            if self._rungs.rung(trial.budget) != self._rungs.last:
                continue
            id_ = history.get_config_id(configuration)
            value = history[TrialKey(id_, trial.instance, trial.seed, trial.budget)]
            if value.status == StatusType.SUCCESS and np.isfinite(value.cost).all():
                return np.atleast_1d(np.asarray(value.cost, float))
        return None

    def _promoted(self, found: tuple[int, int] | None) -> TrialInfo | None:
        if found is None:
            return None
        number, rung = found
        return self.take(self._configurations[number], rung)

    def _new(self) -> TrialInfo | None:
        configuration = self._next_configuration()
        if configuration is None:
            return None
        return self.take(configuration, self._promotions.starting_rung())

    def _next_configuration(self) -> Configuration | None:
        """A new one; None when none is left.

        SMAC's own selector raises then, and repeats itself as long as it has no results.
        """
        for _ in range(_MOST_REPEATED):
            try:
                found = next(self.config_generator, None)
            except ConfigurationSpaceExhaustedException:
                return None
            if found is None or key_of(found) not in self._numbers:
                return found
        return None

    def _leftover(self) -> TrialInfo:
        found = self._promoted(self._promotions.fallback_promotion())
        if found is None:
            raise StopIteration
        return found

    def _read_history(self) -> None:
        """Take over, once, what the history holds and was not asked here."""
        if self._has_read_history:
            return
        self._has_read_history = True
        self.__post_init__()
        history = self.runhistory
        for key, value in history.items():
            configuration = history.get_config(key.config_id)
            self._take_over(TrialInfo(configuration, key.instance, key.seed, key.budget), value)

    def _take_over(self, info: TrialInfo, value: TrialValue) -> None:
        rung = self._rungs.rung(info.budget)
        number = self._numbers.get(key_of(info.config))
        if value.status != StatusType.RUNNING:
            if (number, rung) not in self._told:
                self.told(info, value)
        elif (number, rung) not in self._taken:
            self.take(info.config, rung)
            self._interrupted.append(info)


class _Trials:
    """An iterator that may have nothing now and something later."""

    def __init__(self, intensifier: AsynchronousHyperband) -> None:
        self._intensifier = intensifier

    def __iter__(self) -> _Trials:
        return self

    def __next__(self) -> TrialInfo:
        return self._intensifier.next_trial()


class _Results(Callback):
    """Passes every result on."""

    def __init__(self, intensifier: AsynchronousHyperband) -> None:
        self._intensifier = intensifier

    def on_tell_end(self, smbo: SMBO, info: TrialInfo, value: TrialValue) -> None:
        """A trial has ended."""
        del smbo
        self._intensifier.told(info, value)
        self._intensifier.update_incumbents(info.config)
