"""Syne Tune's multi-objective schedulers, as shipped, one trial at a time.

They know no conditions: all hyperparameters are sampled and the inactive ones dropped.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

from benchmarks.peers.activity import active_values
from benchmarks.peers.search import Search
from frnas_search.coordinator.optimizer import Proposal

_RESOURCE = "resource"


class SyneTuneScheduler:
    """A scheduler told of every rung of a trial until it stops it or the last rung is reached."""

    def __init__(self, search: Search, scheduler: TrialScheduler, *, first_rung: int) -> None:
        self._search = search
        self._scheduler = scheduler
        self._first_rung = first_rung
        self._n_trials = 0
        self._running: Trial | None = None
        self._rung = first_rung

    def ask(self) -> Proposal | None:
        """The running trial's next rung, or a new trial; None when nothing is suggested."""
        if self._running is None:
            self._running = self._new_trial()
            self._rung = self._first_rung
        if self._running is None:
            return None
        values = self._running.config
        configuration = active_values(
            self._search.space, lambda hyperparameter: values[hyperparameter.name]
        )
        return Proposal(configuration=configuration, rung=self._rung)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Report the rung; a failure ends the trial."""
        trial = self._running
        assert trial is not None
        if costs is None:
            self._scheduler.on_trial_error(trial)
            self._running = None
            return
        result = {**costs, _RESOURCE: resource(self._search, proposal.rung)}
        decision = self._scheduler.on_trial_result(trial, result)
        if proposal.rung == self._search.last_rung:
            self._scheduler.on_trial_complete(trial, result)
        elif decision == SchedulerDecision.CONTINUE:
            self._rung += 1
            return
        self._running = None

    def _new_trial(self) -> Trial | None:
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        trial = Trial(
            trial_id=self._n_trials,
            config=suggestion.config,
            creation_time=datetime.datetime.fromtimestamp(0, tz=datetime.UTC),
        )
        self._n_trials += 1
        self._scheduler.on_trial_add(trial)
        return trial


def resource(search: Search, rung: int) -> int:
    """Powers of eta, so that rounding epochs moves no rung; 1 the cheapest."""
    return int(search.fidelity.eta**rung)


def moasha(search: Search) -> SyneTuneScheduler:
    """Asynchronous successive halving by non-dominated sorting of random configurations."""
    np.random.seed(search.seed)  # noqa: NPY002 - it draws from numpy's global generator
    scheduler = MOASHA(
        _domains(search),
        metrics=search.names,
        time_attr=_RESOURCE,
        max_t=resource(search, search.last_rung),
        grace_period=1,
        reduction_factor=search.fidelity.eta,
        random_seed=search.seed,
    )
    return SyneTuneScheduler(search, scheduler, first_rung=0)


def evolution(search: Search) -> SyneTuneScheduler:
    """Regularized evolution with its default population of 100, at the full fidelity."""
    searcher = MultiObjectiveRegularizedEvolution(_domains(search), random_seed=search.seed)
    return _single_fidelity(search, searcher)


def multi_surrogate(search: Search) -> SyneTuneScheduler:
    """One surrogate for each objective, at the full fidelity.

    Raises:
        ModuleNotFoundError: In version 0.16, which lacks modules that its own searcher imports.
    """
    from syne_tune.optimizer.schedulers.multiobjective import (  # noqa: PLC0415, RUF100
        multi_surrogate_multi_objective_searcher as module,
    )

    searcher = module.MultiObjectiveMultiSurrogateSearcher(
        _domains(search), metric=search.names, estimators={}, random_seed=search.seed
    )
    return _single_fidelity(search, searcher)


def _single_fidelity(search: Search, searcher: Any) -> SyneTuneScheduler:
    np.random.seed(search.seed)  # noqa: NPY002 - some domains draw from the global generator
    scheduler = SingleFidelityScheduler(
        _domains(search), metrics=search.names, searcher=searcher, random_seed=search.seed
    )
    return SyneTuneScheduler(search, scheduler, first_rung=search.last_rung)


def _domains(search: Search) -> dict[str, Any]:
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    return {name: domain(search.space[name]) for name in search.space}


def domain(hyperparameter: Any) -> Any:
    """The hyperparameter in Syne Tune's terms.

    Raises:
        TypeError: It has nothing of the kind.
    """
    match hyperparameter:
        case CategoricalHyperparameter():
            return choice(list(hyperparameter.choices))
        case OrdinalHyperparameter():
            return choice(list(hyperparameter.sequence))
        case Constant():
            return hyperparameter.value
        case UniformIntegerHyperparameter(lower=lower, upper=upper, log=log):
            return (lograndint if log else randint)(int(lower), int(upper))
        case UniformFloatHyperparameter(lower=lower, upper=upper, log=log):
            return (loguniform if log else uniform)(float(lower), float(upper))
        case _:
            raise TypeError(f"{hyperparameter.name} is a {type(hyperparameter).__name__}")
