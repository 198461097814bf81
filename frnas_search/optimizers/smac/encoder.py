"""SMAC's run history as the arrays that a model learns from: results of all rungs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from smac import Scenario
from smac.runhistory.dataclasses import TrialKey, TrialValue
from smac.runhistory.encoder import AbstractRunHistoryEncoder
from smac.runhistory.enumerations import StatusType

from frnas_search.optimizers.smac.candidates import first_of_each, keys, vectors_of
from frnas_search.optimizers.smac.evidence import Evidence
from frnas_search.optimizers.smac.past import Past
from frnas_search.optimizers.smac.rungs import Rungs

if TYPE_CHECKING:
    from smac.runhistory.runhistory import RunHistory

    from results.pareto import FloatArray

_SMALLEST_SPAN = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """One row for each result.

    Attributes:
        vectors: Shape (k, d).
        heights: Shape (k,); of the rung, 0 the lowest to 1 the highest.
        costs: Shape (k, m); finite.
    """

    vectors: FloatArray
    heights: FloatArray
    costs: FloatArray


class AllRungsEncoder(AbstractRunHistoryEncoder):
    """Every result of every rung, the rung's height as the last input.

    A failure counts as the worst cost that was measured, of each objective: a bound that nothing
    ever reaches would take up all of a model's attention.

    Args:
        scenario: SMAC's; its budgets are the rungs.
        eta: The factor between rungs.
        scalarises: Whether the multi-objective algorithm makes one cost of all, as SMAC's own
            acquisition functions need it; else there is one column for each objective.
        uses_all_rungs: Else results of the highest rung alone, as soon as there is one.
        earlier: Results of other searches, successes only.
        n_enqueued: Configurations of the user's list among the first ones.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        eta: int = 3,
        scalarises: bool = False,
        uses_all_rungs: bool = True,
        earlier: Observations | None = None,
        n_enqueued: int = 0,
    ) -> None:
        super().__init__(scenario)
        self._rungs = Rungs.of(scenario, eta)
        self._scalarises = scalarises and scenario.count_objectives() > 1
        self._uses_all_rungs = uses_all_rungs
        self._earlier = earlier
        self._n_enqueued = n_enqueued
        # A past never changes, so what it says need not be gathered twice.
        self._known: tuple[RunHistory, Evidence] | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {
            **super().meta,
            "eta": self._rungs.eta,
            "scalarises": self._scalarises,
            "uses_all_rungs": self._uses_all_rungs,
            "n_earlier": self.n_earlier,
        }

    def transform(self, budget_subset: list[Any] | None = None) -> tuple[FloatArray, FloatArray]:
        """Inputs of shape (k, d + 1) and costs of shape (k, m), or (k, 1) of one for all.

        Both empty before the first success. Overrides SMAC's, which learns from one budget only.

        Args:
            budget_subset: Not heeded: every rung counts.
        """
        del budget_subset
        data = self._observations()
        costs = self._scalarised(data.costs) if self._scalarises else data.costs
        return np.column_stack([data.vectors, data.heights]), costs

    def transform_response_values(self, values: FloatArray) -> FloatArray:
        """The values as they are: models standardise what they learn."""
        return values

    def get_configurations(self, budget_subset: list[Any] | None = None) -> FloatArray:
        """Configurations with a success, shape (n, d), those of other searches last.

        Overrides SMAC's, which goes through sets and leaves out all rungs but one.
        """
        del budget_subset
        return np.vstack([self.evidence().vectors, self.earlier_vectors()])

    def evidence(self) -> Evidence:
        """What the parts of the engine want to know besides what is encoded."""
        history = self.runhistory
        if self._known is None or self._known[0] is not history or not isinstance(history, Past):
            self._known = (history, self._evidence_of(history))
        return self._known[1]

    def _evidence_of(self, history: RunHistory) -> Evidence:
        results = [(key, value) for key, value in self._results() if _is_success(value)]
        place: dict[int, int] = {}
        for key, _ in results:
            place.setdefault(key.config_id, len(place))
        measured = np.full((len(place), self._n_objectives), np.nan)
        rungs = self._rungs_of(results)
        for key, value in results:
            if rungs[key.budget] == self._rungs.last:
                measured[place[key.config_id]] = value.cost
        pending = history.pending() if isinstance(history, Past) else []
        return Evidence(
            number=max(0, len(history.get_configs()) - self._n_enqueued),
            vectors=vectors_of([history.get_config(id_) for id_ in place], self._n_params),
            measured=measured,
            pending=vectors_of(pending, self._n_params),
        )

    @property
    def n_earlier(self) -> int:
        """Results of other searches."""
        return 0 if self._earlier is None else len(self._earlier.costs)

    def earlier_vectors(self) -> FloatArray:
        """Configurations of other searches, each once, shape (n, d)."""
        if self._earlier is None:
            return np.empty((0, self._n_params))
        return self._earlier.vectors[first_of_each(keys(self._earlier.vectors))]

    def _results(self) -> list[tuple[TrialKey, TrialValue]]:
        running = StatusType.RUNNING
        history = self.runhistory
        trials = history.trials if isinstance(history, Past) else history.items()
        return [trial for trial in trials if trial[1].status != running]

    def _rungs_of(self, results: list[tuple[TrialKey, TrialValue]]) -> dict[float | None, int]:
        """Budget -> rung, each budget looked up once."""
        return {budget: self._rungs.rung(budget) for budget in {key.budget for key, _ in results}}

    def _observations(self) -> Observations:
        own = self._observed(self._results())
        data = own if self._earlier is None else _together(own, self._earlier)
        used = data.heights == 1.0
        if self._uses_all_rungs or not used.any():
            return data
        return Observations(
            vectors=data.vectors[used], heights=data.heights[used], costs=data.costs[used]
        )

    def _build_matrix(
        self,
        trials: Mapping[TrialKey, TrialValue],
        store_statistics: bool = False,  # noqa: FBT001, FBT002 - SMAC's
    ) -> tuple[FloatArray, FloatArray]:
        del store_statistics
        data = self._observed(list(trials.items()))
        return np.column_stack([data.vectors, data.heights]), data.costs

    def _observed(self, results: list[tuple[TrialKey, TrialValue]]) -> Observations:
        is_success = np.array([_is_success(value) for _, value in results], bool)
        costs = np.full((len(results), self._n_objectives), np.nan)
        for row, (_, value) in enumerate(results):
            if is_success[row]:
                costs[row] = value.cost
        measured = costs[is_success]
        if self._earlier is not None:
            measured = np.vstack([measured, self._earlier.costs])
        if len(measured) == 0:  # nothing says how bad a failure is
            results, costs = [], costs[:0]
        else:
            costs = np.where(np.isfinite(costs), costs, measured.max(axis=0))
        history = self.runhistory
        configurations = [history.get_config(key.config_id) for key, _ in results]
        rungs = self._rungs_of(results)
        heights = [self._rungs.height(rungs[key.budget]) for key, _ in results]
        return Observations(
            vectors=vectors_of(configurations, self._n_params),
            heights=np.array(heights, float),
            costs=costs,
        )

    def _scalarised(self, costs: FloatArray) -> FloatArray:
        """By SMAC's algorithm, of costs from 0, the best measured, to 1, the worst; (k, 1)."""
        algorithm = self.multi_objective_algorithm
        if algorithm is None or len(costs) == 0:
            return costs[:, :1]
        low = costs.min(axis=0)
        normalised = (costs - low) / np.maximum(costs.max(axis=0) - low, _SMALLEST_SPAN)
        return np.array([[algorithm(row)] for row in normalised.tolist()], float)


def _is_success(value: TrialValue) -> bool:
    costs = value.cost if isinstance(value.cost, list) else [value.cost]
    return value.status == StatusType.SUCCESS and all(math.isfinite(cost) for cost in costs)


def _together(first: Observations, second: Observations) -> Observations:
    return Observations(
        vectors=np.vstack([first.vectors, second.vectors]),
        heights=np.concatenate([first.heights, second.heights]),
        costs=np.vstack([first.costs, second.costs]),
    )
