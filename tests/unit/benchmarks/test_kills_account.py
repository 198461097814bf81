"""What a log tells of a search that was struck."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.kills.account import Kill, account, place_of, requests_of, table
from results.events import Asked, AttemptLost, Event, GivenUp, LoggedEvent, Resumed, Told
from results.trial import FailureKind, TrialOutcome, TrialRequest

FIRST = TrialRequest(
    trial_id="t0001", config_id="c0001", configuration={"x": 1}, rung=0, epochs=2, seed=0
)
SECOND = replace(FIRST, trial_id="t0002", config_id="c0002", configuration={"x": 2})


def outcome(request: TrialRequest, cost: float | None) -> TrialOutcome:
    name, attempt = request.trial_id, request.attempt
    if cost is None:
        return TrialOutcome(trial_id=name, attempt=attempt, failure=FailureKind.WORKER_LOST)
    return TrialOutcome(trial_id=name, attempt=attempt, costs={"error": cost})


def log(*events: Event) -> list[LoggedEvent]:
    return [
        LoggedEvent(sequence=n, time="2026-01-01T00:00:00Z", event=event)
        for n, event in enumerate(events, start=1)
    ]


def kill(sequence: int) -> Kill:
    return Kill(
        search="s",
        mode="cluster",
        kind="training",
        blow="SIGKILL",
        pid=1,
        sequence=sequence,
        n_running=1,
        seconds=0.0,
    )


TRUTH = {place_of(FIRST): outcome(FIRST, 0.5), place_of(SECOND): outcome(SECOND, 0.25)}
ASKED = (Asked(request=FIRST), Asked(request=SECOND))


def test_a_search_that_was_told_the_truth_once_has_no_fault() -> None:
    told = (Told(outcome=outcome(FIRST, 0.5)), Told(outcome=outcome(SECOND, 0.25)))
    found = account(log(*ASKED, *told), [kill(2)], TRUTH)
    assert (found.n_trials, found.lost, found.told_twice, found.false) == (2, set(), set(), {})
    assert found.hit == {0: set()}


def test_what_has_no_end_or_two_is_counted() -> None:
    told = Told(outcome=outcome(FIRST, 0.5))
    given_up = GivenUp(trial_id="t0002", reason="nobody knows")
    found = account(log(*ASKED, told, told, given_up), [], TRUTH)
    assert found.told_twice == {"t0001"}
    assert found.lost == found.given_up == {"t0002"}


def test_another_cost_or_a_failure_of_somebody_else_is_false() -> None:
    told = (Told(outcome=outcome(FIRST, 0.5000001)), Told(outcome=outcome(SECOND, None)))
    found = account(log(*ASKED, *told), [], TRUTH)
    assert "0.5000001" in found.false["t0001"]
    assert found.false["t0002"].startswith("told worker_lost")


def test_a_cost_that_nothing_can_be_held_against_is_false() -> None:
    found = account(log(ASKED[0], Told(outcome=outcome(FIRST, 0.5))), [], {})
    assert found.false == {"t0001": "nobody knows what it should be"}
    unasked = account(log(Told(outcome=outcome(FIRST, 0.5))), [], TRUTH)
    assert unasked.false == {"t0001": "told, and never asked for"}


def test_an_attempt_is_lost_to_the_last_kill_before() -> None:
    lost = AttemptLost(outcome=outcome(FIRST, None))
    events = log(*ASKED, lost, lost)
    found = account(events, [kill(1), kill(3)], TRUTH)
    assert found.hit == {0: {"t0001"}, 1: {"t0001"}}
    assert dict(found.n_attempts_lost) == {0: 1, 1: 1}
    assert account(events, [], TRUTH).hit == {}


def test_a_process_that_was_only_stopped_is_not_blamed_where_another_was_killed() -> None:
    lost = AttemptLost(outcome=outcome(FIRST, None))
    stopped = replace(kill(2), blow="SIGSTOP, SIGCONT")
    assert account(log(*ASKED, lost), [kill(1), stopped], TRUTH).hit[0] == {"t0001"}
    assert account(log(*ASKED, lost), [stopped], TRUTH).hit[0] == {"t0001"}


def test_what_a_search_hands_out_again_is_put_down_to_the_kill_of_the_coordinator() -> None:
    taken_over = Resumed(reissued=("t0001", "t0002"), versions={})
    coordinator = replace(kill(1), kind="coordinator")
    found = account(log(*ASKED, taken_over), [coordinator, kill(2)], TRUTH)
    assert found.hit == {0: {"t0001", "t0002"}, 1: set()}


def test_the_table_counts_a_bad_trial_for_every_kill_that_hit_it_and_once_in_all() -> None:
    lost = AttemptLost(outcome=outcome(FIRST, None))
    kills = [kill(1), replace(kill(2), kind="scheduler", mode="local")]
    rows = table(kills, {"s": account(log(ASKED[0], lost, lost), kills, TRUTH)})
    assert [(row["kind"], row["kills"], row["running"], row["lost"]) for row in rows] == [
        ("scheduler, local workers", 1, 1, 1),
        ("training", 1, 1, 1),
        ("all", 2, 2, 1),
    ]


def test_requests_come_in_the_order_they_were_asked() -> None:
    assert list(requests_of(log(ASKED[1], ASKED[0]))) == ["t0002", "t0001"]
