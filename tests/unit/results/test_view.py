from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.errors import LogError
from results.events import (
    Asked,
    AttemptLost,
    Ended,
    Event,
    LimitsChanged,
    LoggedEvent,
    Resumed,
    Retrained,
    StopRequested,
    Submitted,
    Told,
    event_from_json,
    event_to_json,
)
from results.hypervolume import hypervolume
from results.pareto import non_dominated
from results.trial import FailureKind, TrialOutcome, TrialRequest
from results.view import RunView, fold


def ids(trials: list) -> list[str]:
    return [trial.request.trial_id for trial in trials]


def test_a_trial_runs_from_asking_until_it_is_told(run) -> None:
    run.ask(1)
    assert (run.view.n_running, run.view.n_finished) == (1, 0)

    run.tell(1, 0.2, 3.0)
    trial = run.view.trials["t0001"]

    assert (run.view.n_running, run.view.n_finished, run.view.n_failed) == (0, 1, 0)
    assert (trial.asked_sequence, trial.told_sequence) == (2, 4)
    assert (trial.asked_time, trial.told_time) == ("2026-01-01T00:00:01Z", "2026-01-01T00:00:03Z")
    assert (trial.attempts, trial.worker) == (1, "tcp://a")
    assert trial.costs == {"error": 0.2, "rank_disparity": 3.0}


def test_trials_keep_the_order_in_which_they_were_asked(run) -> None:
    for number in (3, 1, 2):
        run.ask(number)
    for number in (1, 2, 3):
        run.tell(number, 0.5, 5.0)

    assert list(run.view.trials) == ["t0003", "t0001", "t0002"]


def test_only_the_highest_rung_enters_the_front_and_others_can_be_asked_for(run) -> None:
    run.trial(1, 0.1, 0.1, rung=0)
    run.trial(2, 0.4, 2.0)
    run.trial(3, 0.2, 5.0)
    run.trial(4, 0.5, 3.0)
    run.trial(5, 0.3, 0.3, rung=0)

    assert ids(run.view.front()) == ids(run.view.front(2)) == ["t0003", "t0002"]
    assert ids(run.view.front(0)) == ["t0001"]
    assert run.view.front(1) == []


def test_failed_trials_are_counted_by_kind_and_never_enter_the_front(run) -> None:
    for number, kind in enumerate([FailureKind.COLLAPSED, FailureKind.COLLAPSED]):
        run.ask(number)
        run.fail(number, kind)
    run.ask(7)
    run.fail(7, FailureKind.OUT_OF_MEMORY)

    assert run.view.n_failed == 3
    assert run.view.failures == {FailureKind.COLLAPSED: 2, FailureKind.OUT_OF_MEMORY: 1}
    assert run.view.front() == []
    assert run.view.hypervolume == 0.0
    assert run.view.epochs_spent == 9


def test_a_second_answer_for_a_trial_changes_nothing(run) -> None:
    run.trial(1, 0.2, 3.0)
    once = run.view
    run.tell(1, 0.1, 1.0)
    twice = run.view

    assert twice.trials == once.trials
    assert twice.history == once.history
    assert (twice.n_finished, twice.epochs_spent, twice.gpu_seconds) == (1, 6, 10.0)
    assert twice.last_sequence == once.last_sequence + 1


def test_trials_of_equal_costs_are_all_on_the_front(run) -> None:
    run.trial(1, 0.2, 3.0)
    run.trial(2, 0.2, 3.0)

    assert ids(run.view.front()) == ["t0001", "t0002"]


def test_what_was_spent_is_summed_over_all_that_ended(run) -> None:
    run.trial(1, 0.2, 3.0, config=1, rung=0)
    run.trial(2, 0.2, 3.0, config=1)
    run.ask(3, config=2)
    run.fail(3)

    assert run.view.epochs_spent == 6 + 6 + 3
    assert run.view.gpu_seconds == 25.0
    assert run.view.gpu_seconds_of("c0001") == 20.0
    assert run.view.gpu_seconds_of("c9999") == 0.0


def test_the_history_has_a_point_for_each_trial_that_ended(run) -> None:
    run.trial(1, 0.5, 5.0)
    run.ask(2)
    run.fail(2)
    run.trial(3, 0.25, 5.0)

    # References are error 1.0 and rank disparity 10 (a tenth of the worst of 101 identities).
    assert [point[:3] for point in run.view.history] == [(4, 6, 2.5), (7, 9, 2.5), (10, 15, 3.75)]


def test_the_plateau_counts_trials_finished_at_the_highest_rung_since_the_last_gain(run) -> None:
    run.trial(1, 0.5, 5.0)
    run.trial(2, 0.6, 6.0)
    run.trial(3, 0.1, 1.0, rung=0)
    run.ask(4)
    run.fail(4)
    assert run.view.trials_since_gain == 1

    run.trial(5, 0.4, 4.0)
    assert run.view.trials_since_gain == 0


def test_a_trial_above_a_largest_cost_is_a_result_and_never_on_a_front(new_run) -> None:
    run = new_run().open(max_costs={"error": 0.5})
    run.trial(1, 0.6, 1.0)
    run.trial(2, 0.6, 1.0, rung=0)
    assert run.view.front() == run.view.front(0) == []
    assert "keeps within max_cost (error 0.5)" in run.view.why_no_front
    assert (run.view.hypervolume, run.view.n_finished, run.view.trials_since_gain) == (0.0, 2, 1)

    run.trial(3, 0.5, 5.0)
    run.trial(4, 0.55, 2.0)
    run.trial(5, 0.4, 6.0, rung=0)
    assert ids(run.view.front()) == ["t0003"]
    assert ids(run.view.front(0)) == ["t0005"]
    assert run.view.hypervolume == pytest.approx(0.5 * 5.0)
    assert run.view.trials_since_gain == 1
    assert len(run.view.finished_at(2)) == 3


def test_a_plateau_waits_for_trials_in_flight_that_were_asked_before_it_was_reached(run) -> None:
    run.ask(1)
    run.ask(2, rung=0)
    run.trial(3, 0.5, 5.0)
    run.trial(4, 0.6, 6.0)
    run.trial(5, 0.7, 7.0)
    run.ask(6)
    assert run.view.trials_since_gain == 2
    assert run.view.n_may_end_plateau(3) == 0, "it is not that long"
    assert run.view.n_may_end_plateau(2) == 1, "t0001, neither a lower rung nor one asked later"
    assert run.view.n_may_end_plateau(0) == 0

    run.tell(1, 0.8, 8.0)
    assert (run.view.trials_since_gain, run.view.n_may_end_plateau(2)) == (3, 0)


def test_a_trial_in_flight_that_gains_ends_the_plateau(run) -> None:
    run.ask(1)
    run.trial(2, 0.5, 5.0)
    run.trial(3, 0.6, 6.0)
    run.tell(1, 0.1, 1.0)
    assert (run.view.trials_since_gain, run.view.n_may_end_plateau(1)) == (0, 0)


def test_an_attempt_that_was_lost_is_not_handed_out_again_as_the_same(run) -> None:
    run.ask(1)
    assert run.view.trials["t0001"].next_request.attempt == 1
    outcome = TrialOutcome(trial_id="t0001", attempt=1, failure=FailureKind.WORKER_LOST)
    run.log(AttemptLost(outcome=outcome))
    assert run.view.trials["t0001"].next_request.attempt == 2
    run.log(Submitted(trial_id="t0001", attempt=2))
    assert run.view.trials["t0001"].next_request.attempt == 2


def test_what_lost_attempts_cost_is_spent(run) -> None:
    run.trial(1, 0.2, 3.0)
    run.ask(2)
    outcome = TrialOutcome(
        trial_id="t0002", attempt=1, failure=FailureKind.WORKER_LOST, seconds=20.0
    )
    run.log(AttemptLost(outcome=outcome))
    assert run.view.gpu_seconds == 10.0 + 20.0
    assert run.view.epochs_spent == 6 + 12


def test_the_best_of_an_objective_is_taken_at_the_highest_rung(run) -> None:
    assert run.view.best("error") is None
    run.trial(1, 0.1, 9.0, rung=1)
    run.trial(2, 0.3, 2.0)
    run.trial(3, 0.2, 5.0)

    assert run.view.best("error").request.trial_id == "t0003"
    assert run.view.best("rank_disparity").request.trial_id == "t0002"


def test_lost_workers_raise_the_attempts(run) -> None:
    run.ask(1)
    run.log(Submitted(trial_id="t0001", attempt=2, worker="tcp://b"))

    trial = run.view.trials["t0001"]
    assert (trial.attempts, trial.worker) == (2, "tcp://b")
    assert run.view.n_running == 1


def test_the_state_follows_stops_ends_and_resumption(run) -> None:
    assert (run.view.state, run.view.reason) == ("running", "")
    run.log(StopRequested(reason="20 trials are done"))
    assert (run.view.state, run.view.reason) == ("running", "20 trials are done")
    run.log(Ended(state="finished", reason="20 trials are done"))
    assert run.view.state == "finished"
    run.log(Resumed(reissued=(), versions={}))
    assert (run.view.state, run.view.reason) == ("running", "")


def test_limits_are_those_last_set(run) -> None:
    assert run.view.limits == {"trials": 20, "epochs": None}
    run.log(LimitsChanged(stop={"trials": 40}))
    assert run.view.limits == {"trials": 40}


def test_wall_time_leaves_out_the_time_between_sessions(run) -> None:
    def log(event, time: str) -> None:
        run.store.append(event, time=f"2026-01-01T{time}Z")

    log(StopRequested(reason="operator"), "00:00:10")
    log(Ended(state="stopped", reason="operator"), "00:00:30")
    log(Retrained(config_id="c1", seed=1, epochs=2, outcome=failed("r1"), model=None), "01:00:00")
    log(Resumed(reissued=(), versions={}), "02:00:00")
    log(LimitsChanged(stop={}), "02:00:05.5")

    assert run.view.wall_seconds == 35.5


def failed(trial_id: str) -> TrialOutcome:
    return TrialOutcome(trial_id=trial_id, attempt=1, failure=FailureKind.CRASHED)


def test_retrained_models_are_kept_apart_from_the_trials(run) -> None:
    run.trial(1, 0.2, 3.0)
    retrained = Retrained(config_id="c0001", seed=7, epochs=27, outcome=failed("r1"), model=None)
    run.log(retrained)

    assert run.view.retrained == [retrained]
    assert run.view.n_failed == 0


def test_metrics_that_are_not_finite_are_null_in_a_live_view_too(run) -> None:
    run.ask(1)
    run.tell(1, 0.2, 3.0, metrics={"ratio": float("nan")})

    assert run.view.trials["t0001"].outcome.metrics == {"ratio": None}


def test_a_run_that_was_never_started_has_no_objectives() -> None:
    with pytest.raises(LogError, match="never started"):
        _ = RunView().objectives


def told_without_asking(run) -> None:
    run.tell(1, 0.2, 3.0)


def submitted_without_asking(run) -> None:
    run.log(Submitted(trial_id="t0001", attempt=1))


def a_rung_too_many(run) -> None:
    request = TrialRequest(
        trial_id="t1", config_id="c1", configuration={}, rung=3, epochs=81, seed=0
    )
    run.log(Asked(request=request))


def a_cost_missing(run) -> None:
    run.trial(1, 0.2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (told_without_asking, "t0001 has a result and was never asked"),
        (submitted_without_asking, "t0001 has a result and was never asked"),
        (a_rung_too_many, "rung 3 and the run has 3"),
        (a_cost_missing, "t0001 has no cost 'rank_disparity'"),
    ],
)
def test_events_that_contradict_those_before_are_refused(
    run, damage: Callable, message: str
) -> None:
    damage(run)

    with pytest.raises(LogError, match=message):
        _ = run.view


def test_a_gap_in_the_log_is_refused(run) -> None:
    run.ask(1)
    events = run.store.read()

    with pytest.raises(LogError, match="event 3 follows event 1"):
        fold([events[0], events[2]])


steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=15
)


@settings(max_examples=50)
@given(steps=steps)
def test_the_front_and_its_volume_are_those_of_all_trials_together(new_run, steps) -> None:
    run = new_run().open()
    top = []
    for number, (rung, error, disparity, fails) in enumerate(steps):
        run.ask(number, rung=rung)
        if fails:
            run.fail(number)
            continue
        run.tell(number, error / 4, float(disparity))
        if rung == 2:
            top.append((f"t{number:04d}", error / 4, float(disparity)))

    costs = np.array([row[1:] for row in top]).reshape(-1, 2)
    mask = non_dominated(costs)
    expected = {row[0] for row, keep in zip(top, mask, strict=True) if keep}
    assert set(ids(run.view.front())) == expected
    assert run.view.hypervolume == pytest.approx(hypervolume(costs, np.array([1.0, 10.0])))
    assert [p.hypervolume for p in run.view.history] == sorted(
        p.hypervolume for p in run.view.history
    )


@settings(max_examples=25)
@given(steps=steps, at=st.integers(0, 40))
def test_a_live_view_equals_one_folded_from_what_was_stored(new_run, steps, at: int) -> None:
    run = new_run().open()
    for number, (rung, error, disparity, _) in enumerate(steps):
        run.trial(number, error / 4, float(disparity), rung=rung)
    live = RunView()
    for logged in run.store.read(up_to=at):
        live.apply(logged)

    stored = [json.loads(json.dumps(event_to_json(e.event))) for e in run.store.read(up_to=at)]
    read_back = [
        replace(logged, event=event_from_json(value))
        for logged, value in zip(run.store.read(up_to=at), stored, strict=True)
    ]
    assert fold(read_back) == live


def test_folding_does_not_change_the_events(run) -> None:
    run.trial(1, 0.2, 3.0)
    events = run.store.read()
    copies = [replace(logged) for logged in events]
    fold(events)

    assert events == copies
    assert all(isinstance(logged, LoggedEvent) for logged in events)
    assert isinstance(events[-1].event, Told)


def test_wall_time_is_told_by_the_writers_clock_where_it_is_known(run) -> None:
    def at(time: str, elapsed: float, event: Event) -> None:
        run.store.append(event, time=time, elapsed_seconds=elapsed)

    at("2026-01-01T12:00:00Z", 5.0, StopRequested(reason="first of its writer"))
    before = run.view.wall_seconds
    at("2026-01-02T12:00:03Z", 8.0, StopRequested(reason="set forward by a day"))
    at("2025-12-01T12:00:00Z", 10.5, StopRequested(reason="set back by a month"))
    assert run.view.wall_seconds == before + 5.5
    now = "2030-01-01T00:00:00Z"
    assert run.view.wall_seconds_at(now, 12.5) == before + 7.5
    at("2026-01-01T12:00:00Z", 0.5, Resumed(reissued=(), versions={}))
    at("2026-01-05T12:00:00Z", 2.0, Ended(state="finished", reason=""))
    assert run.view.wall_seconds == before + 7.0
    assert run.view.wall_seconds_at(now, 100.0) == before + 7.0
