"""Cost accounting, and the hypervolume of full evaluations only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from benchmarks.peers.random_search import RandomSearch
from benchmarks.peers.search import Search
from benchmarks.quality.journal import append_run, read_runs
from benchmarks.quality.ledger import Ledger
from benchmarks.quality.run import BUDGETS, run, shares
from frnas_search.coordinator.optimizer import Proposal
from tests.unit.benchmarks.tiny_problem import TinyProblem

RUNGS = (1 / 9, 1 / 3, 1.0)


def at(rung: int, x: int = 0, y: int = 0) -> Proposal:
    return Proposal(configuration={"x": x, "y": y}, rung=rung)


class Scripted:
    """Proposes what it is given and keeps what it is told."""

    def __init__(self, proposals: Iterable[Proposal]) -> None:
        self._proposals = iter(proposals)
        self.told: list[tuple[Proposal, Mapping[str, float] | None]] = []

    def ask(self) -> Proposal | None:
        return next(self._proposals, None)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        self.told.append((proposal, costs))


def test_a_promotion_costs_only_the_difference_to_what_was_paid() -> None:
    ledger = Ledger(RUNGS)
    spent = []
    for proposal in (at(0), at(1), at(2), at(0, x=2), at(2, x=2)):
        ledger.pay(proposal)
        spent.append(ledger.spent)
    assert spent == pytest.approx([1 / 9, 1 / 3, 1, 1 + 1 / 9, 2])


def test_what_was_evaluated_before_costs_nothing() -> None:
    ledger = Ledger(RUNGS)
    ledger.pay(at(2))
    assert [ledger.price(at(rung)) for rung in range(3)] == [0, 0, 0]


def test_a_ledger_does_not_look_at_the_order_of_hyperparameters() -> None:
    ledger = Ledger(RUNGS)
    ledger.pay(Proposal(configuration={"x": 1, "y": 2}, rung=1))
    assert ledger.price(Proposal(configuration={"y": 2, "x": 1}, rung=1)) == 0


def test_only_full_evaluations_count_and_each_with_its_own_budget() -> None:
    trace = [[24.0, 0.5, 0.5], [26.0, 0.0, 0.9], [200.5, 0.0, 0.0]]
    found = shares(TinyProblem.box, trace, budget=200)
    assert list(found) == [str(each) for each in BUDGETS]
    both = 0.6 * 0.6 + 0.5 * 0.2  # the second adds what lies to the left of the first, up to 1.1
    assert found["25"] == pytest.approx(0.36 / 1.21)
    assert found["50"] == found["200"] == pytest.approx(both / 1.21)


def test_without_a_full_evaluation_nothing_is_found() -> None:
    record = run(TinyProblem(), lambda _: Scripted([at(0), at(1)]), seed=0, budget=25)
    assert record["shares"] == {"25": 0.0}
    assert (record["n_proposals"], record["n_full"]) == (2, 0)
    assert record["spent"] == pytest.approx(1 / 3)


def test_a_run_tells_every_cost_and_can_be_kept_as_json() -> None:
    script = Scripted([at(1, x=2, y=2), at(2, x=2, y=2), at(2, x=2, y=2), at(2, x=4, y=4)])
    record = run(TinyProblem(), lambda _: script, seed=0, budget=25)
    assert [costs for _, costs in script.told] == [
        {"error": 0.6, "cost": 0.6},
        {"error": 0.5, "cost": 0.5},
        {"error": 0.5, "cost": 0.5},
        {"error": 1.0, "cost": 1.0},
    ]
    assert record["trace"] == [[1.0, 0.5, 0.5], [2.0, 1.0, 1.0]]
    assert json.loads(json.dumps(record)) == record
    assert record["error"] is None


def test_an_evaluation_that_does_not_fit_is_not_begun() -> None:
    script = Scripted([at(0), at(2, x=2), at(2, x=4)])
    record = run(TinyProblem(), lambda _: script, seed=0, budget=2)
    assert record["spent"] == pytest.approx(1 + 1 / 9)
    assert [proposal for proposal, _ in script.told] == [at(0), at(2, x=2)]


def test_a_method_that_only_repeats_itself_is_ended() -> None:
    record = run(TinyProblem(), RandomSearch, seed=0, budget=25)
    assert record["n_full"] == 9
    assert record["shares"]["25"] == pytest.approx(1.0)
    assert record["n_proposals"] >= 109


def test_an_exception_ends_the_run_and_is_recorded_with_what_was_found() -> None:
    def proposals() -> Iterable[Proposal]:
        yield at(2, x=2, y=2)
        raise ZeroDivisionError("the method broke")

    record = run(TinyProblem(), lambda _: Scripted(proposals()), seed=0, budget=25)
    assert "ZeroDivisionError: the method broke" in record["error"]
    assert record["shares"]["25"] == pytest.approx(0.36 / 1.21)


def test_a_method_that_cannot_be_built_is_recorded() -> None:
    def missing(search: Search) -> Scripted:
        raise ModuleNotFoundError(f"no library for seed {search.seed}")

    record = run(TinyProblem(), missing, seed=3, budget=25)
    assert "no library for seed 3" in record["error"]
    assert record["spent"] == 0


def test_a_method_gets_a_space_of_its_own() -> None:
    problem = TinyProblem()
    spaces = []

    def keep(search: Search) -> Scripted:
        spaces.append(search.space)
        return Scripted([])

    run(problem, keep, seed=0, budget=25)
    assert spaces[0] == problem.space
    assert spaces[0] is not problem.space


def test_a_journal_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert read_runs(path) == []
    append_run(path, {"seed": 0})
    with path.open("a") as file:
        file.write('{"seed": 1, "sha')
    append_run(path, {"seed": 2})
    assert read_runs(path) == [{"seed": 0}, {"seed": 2}]
