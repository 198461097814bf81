"""Asynchronous Hyperband over several objectives: who starts where, and who is promoted. Pure.

A configuration is promoted as soon as it belongs to the best 1 / eta of what its rung knows, best
by non-dominated sorting and then by crowding distance; no rung waits for its last trial. New
configurations start at the rungs in the shares that Hyperband's brackets have.

References:
    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (ASHA); Schmucker
    et al., Multi-objective Asynchronous Successive Halving, 2021; Deb et al., NSGA-II, 2002; Li et
    al., Hyperband, JMLR 2018 (shares).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from frnas_search.optimizers.fidelity import bracket_sizes
from results.pareto import non_dominated_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from results.pareto import FloatArray


def best_first(costs: FloatArray) -> list[int]:
    """Rows from best to worst: by non-dominated rank, then by crowding distance, then by index.

    Args:
        costs: Shape (n, m); finite.
    """
    if len(costs) == 0:
        return []
    if costs.shape[1] == 1:
        return [int(row) for row in np.argsort(costs[:, 0], kind="stable")]
    ranks = non_dominated_ranks(costs)
    crowding = np.empty(len(costs))
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        crowding[rows] = crowding_distances(costs[rows])
    return [int(row) for row in np.lexsort((-crowding, ranks))]


def best_within(costs: FloatArray, limits: FloatArray | None) -> list[int]:
    """Rows from best to worst; those above a limit come last, by how far they are above it.

    Args:
        costs: Shape (n, m); finite.
        limits: Shape (m,), may be infinite; None is no limit.
    """
    order = best_first(costs)
    if limits is None:
        return order
    excess = np.maximum(0.0, costs - limits).sum(axis=1)
    return sorted(order, key=lambda row: excess[row])


def crowding_distances(costs: FloatArray) -> FloatArray:
    """Deb's crowding distance within one front, shape (n,); infinite at the ends.

    Args:
        costs: Shape (n, m).
    """
    distances = np.zeros(len(costs))
    for column in costs.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]]
        if spread > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
        distances[order[[0, -1]]] = np.inf
    return distances


@dataclass(slots=True)
class _Rung:
    """What is known at one rung.

    Attributes:
        costs: Configuration -> costs, in the order told; None of a failed one.
        promoted: Configurations that were promoted from here.
        settled: How much was known when nobody could be promoted; asking again before there is
            more is useless.
    """

    costs: dict[int, tuple[float, ...] | None] = field(default_factory=dict)
    promoted: set[int] = field(default_factory=set)
    settled: tuple[int, int] | None = None

    def n_open_promotions(self, eta: int) -> int:
        return len(self.costs) // eta - len(self.promoted)

    def candidates(self, n: int, limits: FloatArray | None) -> list[int]:
        """Of the best `n` those that were not promoted yet, the best first."""
        known = [(index, costs) for index, costs in self.costs.items() if costs is not None]
        if not known:
            return []
        ranked = best_within(np.array([costs for _, costs in known], float), limits)
        return [known[row][0] for row in ranked[:n] if known[row][0] not in self.promoted]


class Promotions:
    """Configurations are numbers here; the caller knows what they stand for."""

    def __init__(self, n_rungs: int, eta: int, *, limits: FloatArray | None = None) -> None:
        """No configuration has started.

        Args:
            n_rungs: 1 or more.
            eta: One in so many is promoted.
            limits: Shape (m,); a configuration above one of them is promoted only when none below
                is. None is no limit.
        """
        self.n_rungs = n_rungs
        self._limits = limits
        self._eta = eta
        self._rungs = [_Rung() for _ in range(n_rungs)]
        sizes = np.array(bracket_sizes(n_rungs, eta), float)
        self._shares = sizes / sizes.sum()
        self._n_started = np.zeros(n_rungs)

    def starting_rung(self) -> int:
        """Where the next new configuration starts: the rung that is furthest behind its share."""
        behind = self._shares * (self._n_started.sum() + 1) - self._n_started
        return int(np.argmax(behind))

    def started(self, rung: int) -> None:
        """A new configuration starts there."""
        self._n_started[rung] += 1

    def promotion(self) -> tuple[int, int] | None:
        """The configuration to promote, and to which rung; the highest rung first."""
        for number, rung in reversed(list(enumerate(self._rungs[:-1]))):
            known = (len(rung.costs), len(rung.promoted))
            if rung.settled == known or rung.n_open_promotions(self._eta) <= 0:
                continue
            candidates = rung.candidates(len(rung.costs) // self._eta, self._limits)
            if candidates:
                return candidates[0], number + 1
            rung.settled = known
        return None

    def fallback_promotion(self) -> tuple[int, int] | None:
        """Whom to promote when no new configuration is left: the best one of the highest rung.

        Whether or not it is its turn: there is nothing better to do.
        """
        for number, rung in reversed(list(enumerate(self._rungs[:-1]))):
            candidates = rung.candidates(len(rung.costs), self._limits)
            if candidates:
                return candidates[0], number + 1
        return None

    def may_promote(self, index: int, rung: int) -> bool:
        """Whether the configuration may be promoted to `rung`, be it its turn or not."""
        if not 0 < rung < self.n_rungs:
            return False
        below = self._rungs[rung - 1]
        return below.costs.get(index) is not None and index not in below.promoted

    def promoted(self, index: int, rung: int) -> None:
        """The configuration is promoted to `rung`."""
        self._rungs[rung - 1].promoted.add(index)

    def told(self, index: int, rung: int, costs: Sequence[float] | None) -> None:
        """A result at `rung`; None for a failure, which takes a place but is never promoted."""
        self._rungs[rung].costs[index] = None if costs is None else tuple(costs)
