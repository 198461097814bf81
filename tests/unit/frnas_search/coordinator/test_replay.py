from __future__ import annotations

import pytest

from frnas_search.coordinator.limits import Limits
from frnas_search.coordinator.replay import replay
from frnas_search.errors import ReplayError
from tests.fakes import ScriptedOptimizer
from tests.unit.frnas_search.conftest import SearchBuilder, fail, proposal


def test_a_replayed_optimizer_was_asked_and_told_the_same(
    new_search: type[SearchBuilder],
) -> None:
    proposals = [proposal(i) for i in range(6)]
    search = new_search(proposals, limits=Limits(trials=4), n_slots=2)
    search.coordinator.run()
    fresh = ScriptedOptimizer(proposals)
    replay(fresh, search.store.read())
    assert fresh.told == search.optimizer.told
    assert fresh.ask() == proposals[4]


@pytest.mark.parametrize("n_events", range(1, 14))
def test_every_prefix_of_a_log_can_be_replayed(
    new_search: type[SearchBuilder], n_events: int
) -> None:
    proposals = [proposal(i) for i in range(5)]
    search = new_search(proposals, limits=Limits(trials=4), n_slots=2, run_job=fail)
    search.coordinator.run()
    log = search.store.read()
    assert len(log) >= 13
    fresh = ScriptedOptimizer(proposals)
    replay(fresh, log[:n_events])
    names = [type(logged.event).__name__ for logged in log[:n_events]]
    assert len(fresh.told) == names.count("Told")
    assert fresh.ask() == proposals[names.count("Asked")]


def test_an_optimizer_that_proposes_something_else_is_refused_with_the_event(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1), proposal(2)])
    search.coordinator.run()
    with pytest.raises(ReplayError, match=r"event 6: .*manifest\.json"):
        replay(ScriptedOptimizer([proposal(1), proposal(3)]), search.store.read())


def test_an_optimizer_that_runs_out_is_refused(new_search: type[SearchBuilder]) -> None:
    search = new_search([proposal(1), proposal(2)])
    search.coordinator.run()
    with pytest.raises(ReplayError, match="proposes None"):
        replay(ScriptedOptimizer([proposal(1)]), search.store.read())
