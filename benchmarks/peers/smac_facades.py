"""SMAC as shipped, with ParEGO: Hyperband over the rungs, and without fidelities.

What is changed makes it possible or faster and none of its proposals different: incumbents are
selected on the highest budget, as the default dies on an assertion; joblib runs sequentially, the
forest is asked for many rows at once, and trees are not allocated a million leaves each.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario
from smac.main.config_selector import ConfigSelector
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from benchmarks.peers.search import Search
from frnas_search.coordinator.optimizer import Proposal
from results.pareto import FloatArray
from search_space.definition.space import plain

_MOST_LEAVES = 2**12


class SmacFacade:
    """A facade driven by ask and tell."""

    def __init__(self, search: Search, facade: Any, scratch: tempfile.TemporaryDirectory[str]):
        self._search = search
        self._facade = facade
        self._scratch = scratch
        self._running: TrialInfo | None = None

    def ask(self) -> Proposal | None:
        """The next trial; None when the space is exhausted."""
        try:
            with _sequential_and_quiet():
                info = self._running = self._facade.ask()
        except StopIteration:
            return None
        return Proposal(configuration=plain(info.config), rung=rung_of(self._search, info.budget))

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Tell the trial that runs its costs in their own units."""
        del proposal  # there is only one at a time
        assert self._running is not None
        if costs is None:
            bounds = [objective.bound for objective in self._search.objectives]
            value = TrialValue(cost=bounds, status=StatusType.CRASHED)
        else:
            told = [costs[name] for name in self._search.names]
            value = TrialValue(cost=told, status=StatusType.SUCCESS)
        with _sequential_and_quiet():
            self._facade.tell(self._running, value, save=False)

    def close(self) -> None:
        """Remove the scratch folder."""
        self._scratch.cleanup()


def budgets(search: Search) -> list[float]:
    """What SMAC's Hyperband gives each rung, the cheapest first."""
    fidelity = search.fidelity
    return [fidelity.max_epochs / fidelity.eta**k for k in range(search.last_rung, -1, -1)]


def rung_of(search: Search, budget: float | None) -> int:
    """The rung whose budget is nearest; without fidelities the last."""
    if budget is None:
        return search.last_rung
    return int(np.argmin(np.abs(np.array(budgets(search)) - budget)))


def hyperband(search: Search) -> SmacFacade:
    """The multi-fidelity facade: the surrogate sees the highest rung that has results."""
    scratch = tempfile.TemporaryDirectory(prefix="smac-")
    scenario = _scenario(
        search,
        scratch.name,
        # Half a rung below the cheapest, so that no rounding drops that one.
        min_budget=budgets(search)[0] / math.sqrt(search.fidelity.eta),
        max_budget=float(search.fidelity.max_epochs),
    )
    intensifier = MultiFidelityFacade.get_intensifier(
        scenario, eta=search.fidelity.eta, incumbent_selection="highest_budget"
    )
    facade = MultiFidelityFacade(
        scenario,
        _never_called_with_budget,
        intensifier=intensifier,
        config_selector=_BatchSelector(scenario),
        **_parts(MultiFidelityFacade, scenario),
    )
    return SmacFacade(search, facade, scratch)


def full(search: Search) -> SmacFacade:
    """The facade for hyperparameters: full evaluations only, one weight for eight proposals."""
    return _without_fidelity(search, retrain_after=8)


def full_fresh(search: Search) -> SmacFacade:
    """The same with a surrogate and a weight of its own for each proposal; not the default."""
    return _without_fidelity(search, retrain_after=1)


def _without_fidelity(search: Search, *, retrain_after: int) -> SmacFacade:
    scratch = tempfile.TemporaryDirectory(prefix="smac-")
    scenario = _scenario(search, scratch.name)
    facade = HyperparameterOptimizationFacade(
        scenario,
        _never_called,
        config_selector=_BatchSelector(scenario, retrain_after=retrain_after),
        **_parts(HyperparameterOptimizationFacade, scenario),
    )
    return SmacFacade(search, facade, scratch)


def _scenario(
    search: Search,
    scratch: str,
    *,
    min_budget: float | None = None,
    max_budget: float | None = None,
) -> Scenario:
    return Scenario(
        search.space,
        output_directory=Path(scratch),
        objectives=search.names,
        crash_cost=[objective.bound for objective in search.objectives],
        deterministic=True,
        n_trials=search.budget,
        seed=search.seed,
        min_budget=min_budget,
        max_budget=max_budget,
    )


def _parts(facade: Any, scenario: Scenario) -> dict[str, Any]:
    model = facade.get_model(scenario)
    model._rf_opts["max_leaf_nodes"] = _MOST_LEAVES
    return {
        "model": model,
        "multi_objective_algorithm": ParEGO(scenario),
        "logging_level": False,
        "overwrite": True,
    }


class _BatchSelector(ConfigSelector):
    """SMAC's selector, which asks the forest for one row at a time."""

    def _get_x_best(self, X: FloatArray) -> tuple[FloatArray, float]:  # noqa: N803 - SMAC's name
        assert self._model is not None  # SMAC fits it before it asks
        means = self._model.predict_marginalized(X)[0][:, 0]
        best = int(np.argmin(means))
        return X[best], means[best]


def _never_called(config: Any, seed: int = 0) -> float:
    del config, seed  # SMAC insists on these names
    raise AssertionError("the benchmark evaluates, never SMAC")


def _never_called_with_budget(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    del budget
    return _never_called(config, seed)


@contextmanager
def _sequential_and_quiet() -> Iterator[None]:
    """Without joblib's threads and numpy's remarks on SMAC's empty timing lists."""
    with joblib.parallel_config(backend="sequential"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        yield
