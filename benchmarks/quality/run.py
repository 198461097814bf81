"""One search of one problem by one method, and the record that is kept of it."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers.search import Factory, Method, Search
from benchmarks.problems.problem import Box, Problem
from benchmarks.quality.ledger import Ledger

BUDGETS = (25, 50, 100, 200)
"""At which the front is measured, in full evaluations."""

# Proposals in a row that cost nothing, after which a method has nothing new to say.
_MOST_REPEATS = 100

_ROUNDING = 1e-9


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a search has done so far.

    Attributes:
        trace: For each full evaluation what was spent when it ended, then its costs.
        asking_seconds: Spent in the method itself, asking and telling.
    """

    ledger: Ledger
    trace: list[list[float]] = field(default_factory=list)
    n_proposals: int = 0
    asking_seconds: float = 0.0
    error: str | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count the time of the block."""
        begin = time.perf_counter()
        yield
        self.asking_seconds += time.perf_counter() - begin


def run(problem: Problem, factory: Factory, *, seed: int, budget: int) -> dict[str, Any]:
    """Search until the budget is spent; an exception of the method ends it and is recorded.

    Returns:
        What JSON can hold: `shares` of the front's hypervolume by budget, `spent`,
        `n_proposals`, `n_full`, `asking_seconds`, `error` and the `trace`.
    """
    progress = Progress(ledger=Ledger(problem.rungs))
    try:
        search = Search(
            space=copy.deepcopy(problem.space),
            objectives=problem.objectives,
            fidelity=problem.fidelity,
            seed=seed,
            budget=budget,
        )
        drive(problem, factory, search, progress)
    except Exception:  # noqa: BLE001 - whatever it is, it is this method's result
        progress.error = traceback.format_exc()
    return {
        "shares": shares(problem.box, progress.trace, budget=budget),
        "spent": progress.ledger.spent,
        "n_proposals": progress.n_proposals,
        "n_full": len(progress.trace),
        "asking_seconds": progress.asking_seconds,
        "error": progress.error,
        "trace": progress.trace,
    }


def drive(problem: Problem, factory: Factory, search: Search, progress: Progress) -> None:
    """Ask, evaluate and tell; an evaluation that does not fit into the budget is not begun."""
    ledger = progress.ledger
    n_repeats = 0
    with built(factory, search) as optimizer:
        while ledger.spent < search.budget - _ROUNDING and n_repeats < _MOST_REPEATS:
            with progress.asking():
                proposal = optimizer.ask()
            if proposal is None:
                return
            progress.n_proposals += 1
            price = ledger.price(proposal)
            if ledger.spent + price > search.budget + _ROUNDING:
                return
            n_repeats = 0 if price else n_repeats + 1
            ledger.pay(proposal)
            costs = problem.cost(proposal.configuration, proposal.rung)
            if price and proposal.rung == search.last_rung:
                progress.trace.append([ledger.spent, *(costs[name] for name in search.names)])
            with progress.asking():
                optimizer.tell(proposal, costs)


@contextmanager
def built(factory: Factory, search: Search) -> Iterator[Method]:
    """A method that is closed in the end, where it can be."""
    optimizer = factory(search)
    try:
        yield optimizer
    finally:
        if hasattr(optimizer, "close"):
            optimizer.close()


def shares(box: Box, trace: Sequence[Sequence[float]], *, budget: int) -> Mapping[str, float]:
    """Share of the front's hypervolume that the full evaluations within each budget reach."""
    n_objectives = len(box.ideal)
    table = np.array(trace, np.float64).reshape(len(trace), 1 + n_objectives)
    ends, costs = table[:, 0], table[:, 1:]
    found = {}
    for limit in BUDGETS:
        if limit <= budget:
            found[str(limit)] = box.share(costs[ends <= limit + _ROUNDING])
    return found
