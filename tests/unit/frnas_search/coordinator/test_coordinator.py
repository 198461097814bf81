from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, OrdinalHyperparameter

from frnas_search.coordinator.coordinator import StopSignal
from frnas_search.coordinator.executor import Attendance, ExecutorEvent, InlineExecutor
from frnas_search.coordinator.failure_limits import FailureLimits
from frnas_search.coordinator.limits import Limits
from frnas_search.coordinator.state import Finished, Reissued, SlotsChanged
from results import events
from results.errors import LogError
from results.store import InMemoryStore
from results.trial import FailureKind, TrialOutcome
from results.view import RunView, fold
from tests.fakes import PromotingOptimizer, ScriptedOptimizer
from tests.unit.frnas_search.conftest import SearchBuilder, fail, proposal, succeed
from workers.settings import TrialJob


def kinds(store: InMemoryStore) -> list[str]:
    return [type(logged.event).__name__ for logged in store.read()]


def test_one_trial_is_asked_submitted_told_and_the_run_ends(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1)])
    ended = search.coordinator.run()
    assert kinds(search.store) == [
        "RunOpened",
        "SlotsChanged",
        "Asked",
        "Submitted",
        "Told",
        "Ended",
    ]
    assert ended == events.Ended(
        state="finished", reason="the space holds nothing more to propose"
    )
    assert search.optimizer.told == [
        (proposal(1), {"error": pytest.approx(0.899), "rank_disparity": pytest.approx(0.101)})
    ]


class Refusing(ScriptedOptimizer):
    """Has nothing, and says why."""

    def why_nothing(self) -> str:
        return "no configuration within the constraints among 9 tried"


def test_why_nothing_is_proposed_ends_up_in_the_log(new_search: type[SearchBuilder]) -> None:
    search = new_search([])
    search.coordinator.optimizer = Refusing([])
    ended = search.coordinator.run()
    assert ended == events.Ended(
        state="failed", reason="no configuration within the constraints among 9 tried"
    )
    assert search.store.read()[-1].event == ended


def test_the_limit_of_trials_bounds_what_is_asked(new_search: type[SearchBuilder]) -> None:
    search = new_search([proposal(i) for i in range(9)], limits=Limits(trials=4), n_slots=3)
    assert search.coordinator.run().reason == "4 trials are done"
    assert len(search.coordinator.view.trials) == 4
    assert len(search.optimizer.told) == 4


def test_a_space_without_new_configurations_is_asked_again_after_each_result(
    new_search: type[SearchBuilder],
) -> None:
    space = ConfigurationSpace(seed=0)
    space.add(OrdinalHyperparameter("lr_sgd", sequence=[0.1, 0.2]))
    search = new_search(n_slots=4)
    search.coordinator.optimizer = PromotingOptimizer(space, n_rungs=3, seed=0)
    ended = search.coordinator.run()
    assert ended.reason == "the space holds nothing more to propose"
    rungs = [trial.request.rung for trial in search.coordinator.view.trials.values()]
    assert sorted(rungs) == [0, 0, 1, 1, 2, 2]


def test_trials_and_configurations_are_numbered_and_a_promotion_keeps_its_configuration(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1, 0), proposal(2, 0), proposal(1, 1)])
    search.coordinator.run()
    asked = [trial.request for trial in search.coordinator.view.trials.values()]
    assert [(r.trial_id, r.config_id, r.rung, r.epochs, r.seed) for r in asked] == [
        ("t0001", "c0001", 0, 1, 7),
        ("t0002", "c0002", 0, 1, 7),
        ("t0003", "c0001", 1, 3, 7),
    ]


def test_a_failed_trial_is_told_as_a_failure_and_never_enters_the_front(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1)], run_job=fail)
    search.coordinator.run()
    assert search.optimizer.told == [(proposal(1), None)]
    assert search.coordinator.view.front() == []
    assert search.coordinator.view.failures == {FailureKind.COLLAPSED: 1}


def test_a_lost_worker_costs_an_attempt_and_not_the_trial(
    new_search: type[SearchBuilder],
) -> None:
    attempts: list[int] = []

    def lose_twice(job: TrialJob) -> TrialOutcome:
        attempts.append(job.request.attempt)
        return fail(job, FailureKind.WORKER_LOST) if len(attempts) < 3 else succeed(job)

    search = new_search([proposal(1)], run_job=lose_twice)
    search.coordinator.run()
    assert attempts == [1, 2, 3]
    assert kinds(search.store).count("Told") == 1
    assert search.coordinator.view.trials["t0001"].attempts == 3


def test_a_trial_whose_workers_are_always_lost_is_never_told_and_handed_out_again(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search(
        [proposal(1)], run_job=lambda job: fail(job, FailureKind.WORKER_LOST), max_attempts=2
    )
    ended = search.coordinator.run()
    view = search.coordinator.view
    assert (view.n_failed, view.given_up, search.optimizer.told) == (0, {"t0001"}, [])
    assert ended.state == "failed"
    assert "every trial failed: worker_lost 1" in ended.reason
    resumed = new_search([proposal(1)], store=search.store)
    resumed.optimizer.restore(proposal(1))
    trial = resumed.coordinator.view.trials["t0001"]
    assert trial.next_request.attempt == 3
    resumed.coordinator.run([Reissued(trial.next_request)])
    assert (resumed.coordinator.view.n_finished, resumed.coordinator.view.given_up) == (1, set())


def test_a_result_whose_files_are_not_there_is_none(new_search: type[SearchBuilder]) -> None:
    def claims(job: TrialJob) -> TrialOutcome:
        found = replace(succeed(job), checkpoint="c/epochs-0009.pt")
        return replace(found, artefacts={"c/epochs-0009.pt": "sha256:0"}, worker="elsewhere")

    search = new_search([proposal(1)], run_job=claims, max_attempts=1)
    search.coordinator.run()
    (loss,) = search.coordinator.view.trials["t0001"].losses
    assert loss.failure is FailureKind.DATA_ERROR
    assert "the worker sees another folder" in loss.detail
    assert search.optimizer.told == []


def test_a_job_names_the_checkpoint_that_is_known_to_be_there(
    new_search: type[SearchBuilder],
) -> None:
    jobs = []

    def save(job: TrialJob) -> TrialOutcome:
        jobs.append(job)
        key = f"{job.checkpoints}/epochs-{job.request.epochs:04d}.pt"
        search.artefacts.write(key, b"weights")
        digest = search.artefacts.digest(key)
        assert digest is not None
        return replace(succeed(job), checkpoint=key, artefacts={key: digest})

    search = new_search([proposal(1, rung=1), proposal(1, rung=2)], run_job=save)
    search.coordinator.run()
    assert jobs[0].resume_from == {}
    assert list(jobs[1].resume_from) == [f"{jobs[0].checkpoints}/epochs-0003.pt"]


class RefusingStore(InMemoryStore):
    """A store whose disk is full after so many events."""

    def __init__(self, n_events: int) -> None:
        super().__init__()
        self._left = n_events

    def append(
        self, event: events.Event, *, time: str, elapsed_seconds: float | None = None
    ) -> int:
        if self._left == 0:
            raise LogError("the disk is full")
        self._left -= 1
        return super().append(event, time=time, elapsed_seconds=elapsed_seconds)


@pytest.mark.parametrize("n_events", [1, 2, 3, 4, 5])
def test_nothing_takes_effect_that_is_not_in_the_log(
    new_search: type[SearchBuilder], n_events: int
) -> None:
    ran: list[str] = []

    def run(job: TrialJob) -> TrialOutcome:
        ran.append(job.request.trial_id)
        return succeed(job)

    store = RefusingStore(n_events)
    search = new_search([proposal(1)], run_job=run, store=store)
    with pytest.raises(LogError, match="the disk is full"):
        search.coordinator.run()
    assert ran == (["t0001"] if n_events >= 4 else [])
    assert len(search.optimizer.told) == (1 if n_events >= 5 else 0)
    assert fold(store.read()) == search.coordinator.view


class InterruptingExecutor:
    """Two slots; an operator asks to stop when the first job is in and again later."""

    def __init__(self, stop: StopSignal, *, n_requests: int) -> None:
        self.jobs: list[TrialJob] = []
        self._stop, self._n_requests = stop, n_requests
        self._n_calls = 0

    def submit(self, job: TrialJob) -> None:
        self.jobs.append(job)

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        self._n_calls += 1
        if self._n_calls == 1:
            return [SlotsChanged(2)]
        if self._n_calls - 1 <= self._n_requests:
            self._stop.request()
            return []
        return [Finished(succeed(self.jobs.pop(0)))] if self.jobs else []

    def recall(self) -> tuple[str, ...]:
        return ()

    def attendance(self) -> Attendance:
        return Attendance(n_workers=2, n_busy=len(self.jobs))

    def close(self) -> None:
        self.jobs.clear()


def test_a_first_request_to_stop_lets_running_trials_end(new_search: type[SearchBuilder]) -> None:
    search = new_search([proposal(i) for i in range(9)])
    search.coordinator.executor = InterruptingExecutor(search.stop, n_requests=1)
    ended = search.coordinator.run()
    assert ended == events.Ended(state="stopped", reason="stopped by the operator")
    assert search.coordinator.view.n_finished == 2
    assert search.coordinator.view.n_running == 0


def test_a_second_request_stops_at_once_and_says_what_is_in_flight(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(i) for i in range(9)])
    search.coordinator.executor = InterruptingExecutor(search.stop, n_requests=2)
    ended = search.coordinator.run()
    assert ended.state == "stopped"
    assert "2 trials in flight" in ended.reason
    assert search.coordinator.view.n_running == 2
    assert kinds(search.store)[-1] == "Ended"


@pytest.mark.parametrize(
    ("limits", "n_trials", "reason"),
    [
        (Limits(epochs=20), 3, "20 epochs are trained"),
        (Limits(gpu_hours=15 / 3600), 2, "GPU-hours are spent"),
        (Limits(plateau=2), 3, "2 trials brought no hypervolume"),
    ],
)
def test_a_limit_that_is_reached_ends_the_search(
    new_search: type[SearchBuilder], limits: Limits, n_trials: int, reason: str
) -> None:
    same = [proposal(1), proposal(1), proposal(1), proposal(1), proposal(1)]
    search = new_search(same, limits=limits)
    ended = search.coordinator.run()
    assert ended.state == "finished"
    assert reason in ended.reason
    assert search.coordinator.view.n_finished == n_trials
    assert kinds(search.store)[-2:] == ["StopRequested", "Ended"]


def test_the_time_that_passes_without_events_counts_towards_the_limit(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1)], limits=Limits(wall_hours=0.5))
    minutes = itertools.count()
    search.coordinator.utc_now = lambda: f"2026-01-01T00:{min(next(minutes), 59):02d}:00Z"

    class Lost(InterruptingExecutor):
        """A worker that never answers; its jobs can be taken back."""

        def recall(self) -> tuple[str, ...]:
            return tuple(job.request.trial_id for job in self.jobs)

        def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
            self._n_calls += 1
            return [SlotsChanged(1)] if self._n_calls == 1 else []

    search.coordinator.executor = Lost(search.stop, n_requests=0)
    ended = search.coordinator.run()
    assert ended == events.Ended(state="finished", reason="0.5 hours have passed")
    assert search.coordinator.view.n_running == 1


def test_a_search_whose_first_trials_all_fail_is_given_up(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(i) for i in range(30)], run_job=fail)
    ended = search.coordinator.run()
    assert ended == events.Ended(
        state="failed", reason="the first 10 trials all failed: collapsed 10 (t0001: so it is)"
    )


def test_a_search_of_which_too_many_trials_fail_is_stopped_with_the_reasons(
    new_search: type[SearchBuilder],
) -> None:
    def worse_and_worse(job: TrialJob) -> TrialOutcome:
        is_early = job.request.trial_id < "t0005"
        return succeed(job) if is_early else fail(job, FailureKind.OUT_OF_MEMORY)

    search = new_search([proposal(i) for i in range(90)], run_job=worse_and_worse)
    search.coordinator.failures = FailureLimits(rate=0.5, window=6)
    ended = search.coordinator.run()
    assert ended == events.Ended(
        state="failed",
        reason="4 of the last 6 trials failed, more than failures.rate 0.5 allows: "
        "out_of_memory 4 (t0005: so it is)",
    )


def test_a_search_in_which_nothing_succeeded_has_failed(new_search: type[SearchBuilder]) -> None:
    search = new_search([proposal(1)], run_job=fail, limits=Limits(trials=1))
    assert search.coordinator.run() == events.Ended(
        state="failed",
        reason="1 trials are done, and every trial failed: collapsed 1 (t0001: so it is)",
    )


def test_a_run_that_was_given_up_gets_ten_more_tries_when_it_is_resumed(
    new_search: type[SearchBuilder],
) -> None:
    first = new_search([proposal(i) for i in range(30)], run_job=fail)
    first.coordinator.run()
    first.store.append(events.Resumed(reissued=(), versions={}), time=first.coordinator.utc_now())
    mended = new_search([proposal(i) for i in range(30, 60)], store=first.store)
    assert mended.coordinator.run().state == "finished"
    assert (mended.coordinator.view.n_failed, mended.coordinator.view.n_finished) == (10, 30)


def test_one_that_succeeded_once_goes_on_whatever_fails(new_search: type[SearchBuilder]) -> None:
    def fail_later(job: TrialJob) -> TrialOutcome:
        return succeed(job) if job.request.trial_id == "t0001" else fail(job)

    search = new_search(
        [proposal(i) for i in range(30)], run_job=fail_later, limits=Limits(trials=20)
    )
    assert search.coordinator.run().state == "finished"
    assert search.coordinator.view.n_failed == 19


def test_a_request_to_stop_before_the_beginning_trains_nothing(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1)])
    search.stop.request()
    assert search.coordinator.run().state == "stopped"
    assert search.coordinator.view.trials == {}


def test_trials_of_an_earlier_session_are_handed_out_first(
    new_search: type[SearchBuilder],
) -> None:
    search = new_search([proposal(1), proposal(2)], limits=Limits(trials=2))
    request = search.coordinator.requests.next(search.optimizer.ask() or proposal(0))
    search.coordinator.log(events.Asked(request=request))
    search.coordinator.state.n_asked = 1
    search.coordinator.run([Reissued(request)])
    told = [told for told, _ in search.optimizer.told]
    assert told == [proposal(1), proposal(2)]


class Recorder:
    """Keeps what a watcher is shown."""

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.n_ticks = 0

    def changed(self, view: RunView, logged: events.LoggedEvent) -> None:
        assert view.last_sequence == logged.sequence
        self.sequences.append(logged.sequence)

    def tick(self, view: RunView, attendance: Attendance) -> None:
        self.n_ticks += 1


def test_watchers_see_every_event_once_and_in_order(new_search: type[SearchBuilder]) -> None:
    recorder = Recorder()
    search = new_search([proposal(1), proposal(2)], watchers=(recorder,))
    search.coordinator.run()
    assert recorder.sequences == [logged.sequence for logged in search.store.read()[1:]]
    assert recorder.n_ticks > 0


def test_waiting_for_workers_is_said_once_and_not_every_second(
    new_search: type[SearchBuilder], caplog: pytest.LogCaptureFixture
) -> None:
    search = new_search([proposal(1)])

    class Empty(InterruptingExecutor):
        def attendance(self) -> Attendance:
            return Attendance(n_workers=0, n_busy=0, waiting_for="no workers yet")

    search.coordinator.executor = Empty(search.stop, n_requests=2)
    search.coordinator.run()
    assert [r.message for r in caplog.records].count("waiting: no workers yet") == 1


def test_a_lost_attempt_is_in_the_log_before_the_trial_is_submitted_again(
    new_search: type[SearchBuilder],
) -> None:
    def lose_once(job: TrialJob) -> TrialOutcome:
        is_first = job.request.attempt == 1
        return fail(job, FailureKind.WORKER_LOST) if is_first else succeed(job)

    search = new_search([proposal(1)], run_job=lose_once)
    search.coordinator.run()
    assert kinds(search.store)[2:7] == ["Asked", "Submitted", "AttemptLost", "Submitted", "Told"]


LIMITS: dict[str, tuple[Any, Any]] = {
    "trials": (2, 4),
    "epochs": (18, 36),
    "gpu_hours": (20 / 3600, 40 / 3600),
    "wall_hours": (1 / 60, 2 / 60),
    "deadline": (
        datetime(2026, 1, 1, 0, 0, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 30, tzinfo=UTC),
    ),
    "plateau": (2, 4),
}


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_every_limit_can_be_raised_on_a_finished_run(
    new_search: type[SearchBuilder], name: str
) -> None:
    low, high = LIMITS[name]
    # The later ones cost more in both objectives, so that there is a plateau as well.
    proposals = [proposal(0) for _ in range(40)]
    first = new_search(proposals, limits=Limits(**{name: low}))
    assert first.coordinator.run().state == "finished"
    n_first = len(first.coordinator.view.trials)
    assert n_first < 40

    again = new_search(proposals, limits=Limits(**{name: low}), store=first.store)
    again.coordinator.log(events.Resumed(reissued=(), versions={}))
    assert again.coordinator.run().state == "finished"
    assert len(again.coordinator.view.trials) == n_first, "it is reached already"

    raised = new_search(proposals, limits=Limits(**{name: high}), store=first.store)
    raised.coordinator.log(events.Resumed(reissued=(), versions={}))
    assert raised.coordinator.run().state == "finished"
    assert len(raised.coordinator.view.trials) > n_first


class SlowFirst(InlineExecutor):
    """The first job of all takes as long as six others."""

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        if self._jobs and self._jobs[0].request.trial_id == "t0001" and self.n_others < 6:
            self.n_others += 1
            self._jobs.rotate(-1)
        return super().next_events(timeout_seconds)

    n_others = 0


@pytest.mark.parametrize("is_gain", [True, False])
def test_a_plateau_waits_for_a_trial_that_was_asked_before_it(
    new_search: type[SearchBuilder], *, is_gain: bool
) -> None:
    def run(job: TrialJob) -> TrialOutcome:
        outcome = succeed(job)
        is_first = job.request.trial_id == "t0001"
        worse = {"error": 0.95, "rank_disparity": 0.95}
        best = {"error": 0.01, "rank_disparity": 0.01}
        return replace(outcome, costs=best if is_gain and is_first else worse)

    search = new_search(
        [proposal(i) for i in range(12)], run_job=run, limits=Limits(plateau=3), n_slots=2
    )
    search.coordinator.executor = SlowFirst(run, n_slots=2)
    ended = search.coordinator.run()
    told = [outcome.trial_id for outcome in outcomes_of(search.store)]
    place = told.index("t0001")
    assert place >= 4, "more than a plateau's trials came before it"
    assert ended.reason == "3 trials brought no hypervolume"
    assert len(told) - 1 - place in ((3, 4, 5) if is_gain else (0, 1))


def outcomes_of(store: InMemoryStore) -> list[TrialOutcome]:
    return [each.event.outcome for each in store.read() if isinstance(each.event, events.Told)]


@pytest.mark.parametrize("hours", [24, -24])
def test_a_wall_clock_that_is_set_anew_uses_up_no_wall_hours(
    new_search: type[SearchBuilder], hours: int
) -> None:
    search = new_search(
        [proposal(number) for number in range(6)], limits=Limits(wall_hours=12.0, trials=6)
    )
    began, calls = datetime(2026, 1, 1, tzinfo=UTC), itertools.count()

    def utc_now() -> str:
        n_calls = next(calls)
        jump = timedelta(hours=hours if 5 < n_calls < 15 else 0)
        return (began + timedelta(seconds=n_calls) + jump).isoformat().replace("+00:00", "Z")

    search.coordinator.utc_now = utc_now
    assert search.coordinator.run().reason == "6 trials are done"
    assert next(calls) > 15
    logged = search.store.read()
    elapsed = [event.elapsed_seconds for event in logged[1:]]
    assert elapsed == sorted(elapsed)
    assert search.coordinator.view.wall_seconds == pytest.approx(elapsed[-1] - elapsed[0], abs=5)
    assert fold(logged).wall_seconds == search.coordinator.view.wall_seconds
