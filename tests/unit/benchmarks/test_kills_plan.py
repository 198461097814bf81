"""Which processes are struck, and by what."""

from __future__ import annotations

from collections import Counter

from benchmarks.kills.plan import GROUP, searches, strikes


def test_equal_seeds_give_equal_strikes() -> None:
    assert strikes(40, 7) == strikes(40, 7)
    assert strikes(40, 7) != strikes(40, 8)


def test_every_kind_of_process_meets_every_signal_equally_often() -> None:
    found = Counter((strike.mode, strike.kind, strike.blow) for strike in strikes(108, 0))
    assert len(found) == 27
    assert set(found.values()) == {4}
    kinds = {kind for _, kind, _ in found}
    assert kinds == {"scheduler", "worker parent", "Dask worker", "training", "coordinator"}


def test_only_what_a_supervisor_starts_is_told_to_end_as_a_group() -> None:
    struck = {(strike.mode, strike.kind) for strike in strikes(54, 0) if strike.blow == GROUP}
    assert struck == {
        ("cluster", "worker parent"),
        ("cluster", "coordinator"),
        ("local", "coordinator"),
    }


def test_searches_share_all_strikes_and_bear_only_those_of_their_mode() -> None:
    todo = strikes(54, 3)
    plans = searches(todo, most=10, seed=5, first=4)
    assert sorted(map(repr, todo)) == sorted(repr(s) for plan in plans for s in plan.strikes)
    assert all(strike.mode == plan.mode for plan in plans for strike in plan.strikes)
    assert max(len(plan.strikes) for plan in plans) == 10
    assert [plan.number for plan in plans] == list(range(4, 4 + len(plans)))
    assert len({plan.seed for plan in plans}) == len(plans)


def test_every_other_search_runs_in_virtual_time_and_is_not_stopped_in_good_order() -> None:
    plans = searches(strikes(108, 0), most=17, seed=0)
    cluster = [plan.is_virtual for plan in plans if plan.mode == "cluster"]
    assert cluster[:3] == [True, False, True]
    stopped = [plan.is_virtual for plan in plans if any(s.is_stop for s in plan.strikes)]
    assert stopped
    assert not any(stopped)


def test_what_is_only_stopped_in_good_order_runs_in_its_own_time() -> None:
    (plan,) = searches(
        [s for s in strikes(27, 0) if s.mode == "local" and s.is_stop], most=9, seed=0
    )
    assert not plan.is_virtual
