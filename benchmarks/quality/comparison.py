"""Comparing methods over problems and seeds: means, ranks and significance. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean and half its 95 % interval; None for a single value."""

    value: float
    half_width: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One of our methods against the best peer on one problem at one budget.

    Attributes:
        p_value: Of the Wilcoxon test over shared seeds, corrected by Holm over the problems.
    """

    problem: str
    method: str
    best_peer: str
    difference: float
    p_value: float

    @property
    def is_behind(self) -> bool:
        """Whether the peer is significantly better."""
        return self.difference < 0 and self.p_value < LEVEL


class Shares:
    """Shares of the front's hypervolume at one budget, by problem, method and seed."""

    def __init__(self, runs: Iterable[Mapping[str, Any]], budget: int) -> None:
        self._shares: dict[str, dict[str, dict[int, float]]] = {}
        for run in runs:
            if str(budget) in run["shares"]:
                methods = self._shares.setdefault(run["problem"], {})
                methods.setdefault(run["method"], {})[run["seed"]] = run["shares"][str(budget)]

    @property
    def problems(self) -> list[str]:
        """Those with runs."""
        return list(self._shares)

    def methods(self, problem: str) -> list[str]:
        """Those that ran on the problem."""
        return list(self._shares.get(problem, {}))

    def mean(self, problem: str, method: str) -> Mean:
        """Over the method's seeds."""
        return mean_of(list(self._shares[problem][method].values()))

    def mean_ranks(self, among: Collection[str]) -> dict[str, Mean]:
        """Rank of each method among the others, 1 the best, over problems and seeds.

        Seeds that a method lacks on a problem are left out there for all.
        """
        ranks: dict[str, list[float]] = {}
        for problem in self._shares:
            methods = [method for method in self.methods(problem) if method in among]
            for seed in self._shared_seeds(problem, methods):
                values = [-self._shares[problem][method][seed] for method in methods]
                # Ties to the rounding of a sum are ties.
                for method, rank in zip(
                    methods, stats.rankdata(np.round(values, 12)), strict=True
                ):
                    ranks.setdefault(method, []).append(float(rank))
        return {method: mean_of(values) for method, values in ranks.items()}

    def best(self, problem: str, among: Collection[str]) -> str | None:
        """The method with the highest mean; None when none of them ran."""
        methods = [method for method in self.methods(problem) if method in among]
        return max(methods, key=lambda method: self.mean(problem, method).value, default=None)

    def verdicts(self, method: str, peers: Collection[str]) -> list[Verdict]:
        """The method against the best peer on each problem."""
        found = []
        for problem in self._shares:
            peer = self.best(problem, peers)
            if peer is None or method not in self.methods(problem):
                continue
            difference = self._differences(problem, method, peer)
            if len(difference):
                found.append((problem, peer, float(difference.mean()), wilcoxon(difference)))
        corrected = holm([comparison[-1] for comparison in found])
        return [
            Verdict(
                problem=problem, method=method, best_peer=peer, difference=mean, p_value=p_value
            )
            for (problem, peer, mean, _), p_value in zip(found, corrected, strict=True)
        ]

    def _differences(self, problem: str, method: str, peer: str) -> Any:
        seeds = self._shared_seeds(problem, [method, peer])
        runs = self._shares[problem]
        return np.array([runs[method][seed] - runs[peer][seed] for seed in seeds])

    def _shared_seeds(self, problem: str, methods: Sequence[str]) -> list[int]:
        seeds = [set(self._shares[problem][method]) for method in methods]
        return sorted(set.intersection(*seeds)) if seeds else []


def mean_of(values: Sequence[float]) -> Mean:
    """The mean with Student's interval."""
    half_width = None
    if len(values) > 1:
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        half_width = float(stats.t.ppf(0.975, len(values) - 1) * error)
    return Mean(value=float(np.mean(values)), half_width=half_width)


def wilcoxon(differences: Any) -> float:
    """The two-sided p-value of the signed-rank test; 1 when all differences are 0."""
    changed = np.asarray(differences)
    changed = changed[changed != 0]
    return float(stats.wilcoxon(changed).pvalue) if len(changed) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for being so many, by Holm's step-down procedure."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for position, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - position)))
        corrected[index] = highest
    return corrected
