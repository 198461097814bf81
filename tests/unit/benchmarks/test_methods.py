"""Our methods with one part taken out each, on a problem that is soon solved."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.methods import ABLATIONS, OURS, ToldLate
from benchmarks.quality.run import run
from frnas_search.coordinator.optimizer import Proposal
from tests.unit.benchmarks.tiny_problem import TinyProblem

# SMAC's Hyperband gives up where the space cannot fill a bracket, as this tiny one.
GIVES_UP = {"frnas-hyperband"}


@pytest.mark.parametrize("name", sorted((set(OURS) | set(ABLATIONS)) - GIVES_UP))
def test_every_method_of_ours_spends_its_budget_on_trained_configurations(name: str) -> None:
    record = run(TinyProblem(), (OURS | ABLATIONS)[name], seed=0, budget=25)
    assert record["error"] is None
    assert record["n_full"] >= 8
    assert record["shares"]["25"] > 0.9


class Counter:
    """Proposes numbers, and none while more than `most` are open."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.n_asked = 0
        self.told: list[int] = []

    def ask(self) -> Proposal | None:
        if self.n_asked - len(self.told) > self._most:
            return None
        self.n_asked += 1
        return Proposal(configuration={"x": self.n_asked}, rung=0)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        assert costs == {"error": float(proposal.configuration["x"])}
        self.told.append(int(proposal.configuration["x"]))


def asked(counter: Counter, n: int) -> None:
    late = ToldLate(counter, 3)
    for _ in range(n):
        proposal = late.ask()
        assert proposal is not None
        late.tell(proposal, {"error": float(proposal.configuration["x"])})


def test_a_result_is_told_when_so_many_later_trials_have_begun() -> None:
    counter = Counter(most=100)
    asked(counter, 8)
    assert counter.told == [1, 2, 3, 4, 5]


def test_who_cannot_go_on_is_told_earlier() -> None:
    counter = Counter(most=1)
    asked(counter, 8)
    assert counter.told == [1, 2, 3, 4, 5, 6]
