"""What is printed of a comparison, and the rows that are kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.quality.comparison import Mean, Shares
from benchmarks.quality.run import BUDGETS

_Runs = Sequence[Mapping[str, Any]]
_WIDTH = 27


class Report:
    """Tables and rows of a set of runs.

    Args:
        runs: As `run` records them.
        ours: What is judged.
        peers: What it is judged by; ablations are neither.
    """

    def __init__(self, runs: _Runs, *, ours: Collection[str], peers: Collection[str]) -> None:
        self._runs = runs
        self._methods = list(dict.fromkeys(run["method"] for run in runs if run["spent"]))
        self._ours = [method for method in self._methods if method in ours]
        self._peers = [method for method in self._methods if method in peers]
        by_budget = {budget: Shares(runs, budget) for budget in BUDGETS}
        self._by_budget = {
            budget: shares for budget, shares in by_budget.items() if shares.problems
        }

    def lines(self) -> Iterator[str]:
        """The tables, line by line."""
        yield from self._tables_of_shares()
        yield from self._table_of_ranks()
        yield from self._verdicts()
        yield from self._failures()

    def rows(self) -> list[dict[str, Any]]:
        """One for each mean rank and each mean share, in the form all benchmarks share."""
        rows: list[dict[str, Any]] = []
        for budget, shares in self._by_budget.items():
            rows += self._rank_rows(budget, shares)
            for problem in shares.problems:
                rows += self._share_rows(budget, shares, problem)
        return rows

    def _tables_of_shares(self) -> Iterator[str]:
        problems = list(dict.fromkeys(run["problem"] for run in self._runs))
        for problem in problems:
            seeds = {run["seed"] for run in self._runs if run["problem"] == problem}
            yield f"{problem}: share of the front's hypervolume, {len(seeds)} seeds"
            yield _header(self._by_budget)
            for method in self._methods:
                yield _line(
                    method,
                    [
                        shares.mean(problem, method) if method in shares.methods(problem) else None
                        for shares in self._by_budget.values()
                    ],
                )
            yield ""

    def _table_of_ranks(self) -> Iterator[str]:
        yield "mean rank over problems and seeds, 1 the best"
        yield _header(self._by_budget)
        ranks = [shares.mean_ranks(self._methods) for shares in self._by_budget.values()]
        for method in self._methods:
            yield _line(method, [rank.get(method) for rank in ranks])
        yield ""

    def _verdicts(self) -> Iterator[str]:
        for method in self._ours:
            yield f"{method} against the best peer of each problem: difference, p after Holm"
            for budget, shares in self._by_budget.items():
                for verdict in shares.verdicts(method, self._peers):
                    remark = "  BEHIND" if verdict.is_behind else ""
                    yield (
                        f"{budget:>5} {verdict.problem:24} {verdict.best_peer:{_WIDTH}} "
                        f"{verdict.difference:+.3f}  p {verdict.p_value:.3f}{remark}"
                    )
            yield ""

    def _failures(self) -> Iterator[str]:
        reasons = Counter(
            (run["method"], run["problem"], run["error"].strip().splitlines()[-1])
            for run in self._runs
            if run["error"]
        )
        for (method, problem, reason), n_runs in reasons.items():
            yield f"failed: {method} on {problem}, {n_runs} runs: {reason}"

    def _rank_rows(self, budget: int, shares: Shares) -> Iterator[dict[str, Any]]:
        ranks = shares.mean_ranks(self._methods)
        best = min((ranks[peer].value for peer in self._peers if peer in ranks), default=None)
        for method, rank in ranks.items():
            row = _row(f"mean rank at {budget}, {method}", rank, "rank", best)
            if method in self._ours and best is not None:
                row |= {"target": best, "met": rank.value < best}
            yield row

    def _share_rows(self, budget: int, shares: Shares, problem: str) -> Iterator[dict[str, Any]]:
        best = shares.best(problem, self._peers)
        baseline = None if best is None else shares.mean(problem, best).value
        for method in shares.methods(problem):
            if method not in self._methods:
                continue
            mean = shares.mean(problem, method)
            row = _row(f"{problem} at {budget}, {method}", mean, "of the front", baseline)
            if method in self._ours:
                behind = {
                    verdict.problem: verdict.is_behind
                    for verdict in shares.verdicts(method, self._peers)
                }
                if problem in behind:
                    row |= {"target": baseline, "met": not behind[problem]}
            yield row


def _header(budgets: Collection[int]) -> str:
    return " " * _WIDTH + "".join(f"{budget:>15}" for budget in budgets)


def _line(method: str, means: Sequence[Mean | None]) -> str:
    return f"{method:{_WIDTH}}" + "".join(f"{_cell(mean):>15}" for mean in means)


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return ""
    return f"{mean.value:.3f}" + (
        f" ±{mean.half_width:.3f}" if mean.half_width is not None else ""
    )


def _row(name: str, mean: Mean, unit: str, baseline: float | None) -> dict[str, Any]:
    half = mean.half_width
    return {
        "name": name,
        "value": mean.value,
        "unit": unit,
        "baseline": baseline,
        "ratio": mean.value / baseline if baseline else None,
        "target": None,
        "met": None,
        "interval": None if half is None else [mean.value - half, mean.value + half],
    }
