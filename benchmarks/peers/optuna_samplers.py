"""Optuna's multi-objective samplers, as shipped, at the full fidelity.

The space is defined by running through it, so that a sampler sees active hyperparameters only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from ConfigSpace import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from benchmarks.peers.activity import active_values
from benchmarks.peers.search import Search
from frnas_search.coordinator.optimizer import Proposal


class OptunaStudy:
    """A study in memory, driven by ask and tell."""

    def __init__(self, search: Search, sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._search = search
        directions = [optuna.study.StudyDirection.MINIMIZE] * len(search.objectives)
        self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._running: optuna.Trial | None = None

    def ask(self) -> Proposal:
        """A configuration for a full evaluation."""
        trial = self._running = self._study.ask()
        configuration = active_values(
            self._search.space, lambda hyperparameter: suggested(trial, hyperparameter)
        )
        return Proposal(configuration=configuration, rung=self._search.last_rung)

    def restore(self, configuration: Mapping[str, Any], costs: Mapping[str, float]) -> None:
        """Take a finished trial that it has not proposed."""
        self._study.enqueue_trial(dict(configuration))
        self.tell(self.ask(), costs)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Tell the trial that runs."""
        del proposal  # there is only one at a time
        assert self._running is not None
        if costs is None:
            self._study.tell(self._running, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(self._running, [costs[name] for name in self._search.names])


def suggested(trial: optuna.Trial, hyperparameter: Any) -> Any:
    """What the study suggests for one hyperparameter.

    Raises:
        TypeError: Optuna has nothing of the kind.
    """
    name = hyperparameter.name
    match hyperparameter:
        case CategoricalHyperparameter():
            return trial.suggest_categorical(name, hyperparameter.choices)
        case OrdinalHyperparameter():
            return trial.suggest_categorical(name, hyperparameter.sequence)
        case Constant():
            return hyperparameter.value
        case UniformIntegerHyperparameter(lower=lower, upper=upper, log=log):
            return trial.suggest_int(name, int(lower), int(upper), log=log)
        case UniformFloatHyperparameter(lower=lower, upper=upper, log=log):
            return trial.suggest_float(name, float(lower), float(upper), log=log)
        case _:
            raise TypeError(f"{name} is a {type(hyperparameter).__name__}")


def nsga2(search: Search) -> OptunaStudy:
    """NSGA-II with its default population of 50."""
    return OptunaStudy(search, optuna.samplers.NSGAIISampler(seed=search.seed))


def tpe(search: Search) -> OptunaStudy:
    """The tree-structured Parzen estimator, multi-objective, each hyperparameter by itself."""
    return OptunaStudy(search, optuna.samplers.TPESampler(seed=search.seed))
