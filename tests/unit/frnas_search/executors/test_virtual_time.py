from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from ConfigSpace import ConfigurationSpace, UniformFloatHyperparameter

from frnas_search.coordinator.executor import Attendance, ExecutorEvent
from frnas_search.coordinator.limits import Limits
from frnas_search.coordinator.replay import replay
from frnas_search.coordinator.state import Finished, Reissued, SlotsChanged
from frnas_search.executors.virtual_clock import VirtualClock, clock_of_log
from frnas_search.executors.virtual_time import VirtualTimeExecutor
from results.events import Asked, LoggedEvent, Resumed, Told
from results.store import InMemoryStore
from results.trial import FailureKind, TrialOutcome, TrialRequest
from tests.fakes import PromotingOptimizer
from tests.unit.frnas_search.conftest import RUNGS, SearchBuilder, fail, job_of, succeed
from workers.settings import TrialJob

N_TRIALS = 24
Key: TypeAlias = tuple[str, str, int]


class UnsteadyExecutor:
    """Workers that come and go, and jobs that end in any order, some of them lost at first."""

    def __init__(self, seed: int, *, share_lost: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.share_lost = share_lost
        self.jobs: list[TrialJob] = []
        self.n_lost = 0
        self.is_closed = False

    def submit(self, job: TrialJob) -> None:
        self.jobs.append(job)

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        events: list[ExecutorEvent] = [SlotsChanged(self.chance.randrange(9))]
        self.chance.shuffle(self.jobs)
        n_ended = self.chance.randint(0, len(self.jobs))
        ended, self.jobs = self.jobs[:n_ended], self.jobs[n_ended:]
        return [*events, *(Finished(self.outcome(job)) for job in ended)]

    def outcome(self, job: TrialJob) -> TrialOutcome:
        if job.request.attempt == 1 and self.chance.random() < self.share_lost:
            self.n_lost += 1
            return fail(job, FailureKind.WORKER_LOST)
        if int(job.request.trial_id[1:]) % 7 == 3:
            return fail(job)
        return succeed(job)

    def recall(self) -> tuple[str, ...]:
        raise AssertionError("by the virtual clock all of them run")

    def attendance(self) -> Attendance:
        return Attendance(n_workers=1, n_busy=len(self.jobs))

    def close(self) -> None:
        self.is_closed = True


def optimizer() -> PromotingOptimizer:
    space = ConfigurationSpace(seed=0)
    space.add(UniformFloatHyperparameter("lr_sgd", 0.1, 0.9))
    return PromotingOptimizer(space, n_rungs=len(RUNGS), seed=0)


def numbered(number: int) -> TrialRequest:
    return TrialRequest(
        trial_id=f"t{number:04d}",
        config_id=f"c{number:04d}",
        configuration={"lr_sgd": 0.1 * number},
        rung=0,
        epochs=3,
        seed=0,
    )


def searched(
    executor: UnsteadyExecutor, *, n_slots: int, log: tuple[LoggedEvent, ...] = ()
) -> list[LoggedEvent]:
    """The log of a search in virtual time, begun anew or where another's log was cut off."""
    store = InMemoryStore()
    for logged in log:
        store.append(logged.event, time=logged.time)
    search = SearchBuilder(limits=Limits(trials=N_TRIALS), store=store)
    coordinator = search.coordinator
    coordinator.optimizer = optimizer()
    replay(coordinator.optimizer, store.read())
    clock = clock_of_log(store.read(), n_slots=n_slots, seed=3)
    coordinator.executor = VirtualTimeExecutor(executor, clock)
    if log:
        coordinator.log(Resumed(reissued=(), versions={}))
    in_flight = [each for each in coordinator.view.trials.values() if each.outcome is None]
    coordinator.run([Reissued(each.next_request) for each in in_flight])
    return store.read()


def order(log: list[LoggedEvent]) -> list[Key]:
    """What was asked and told, in order."""
    keys: list[Key] = []
    for logged in log:
        if isinstance(event := logged.event, Asked):
            keys.append(("asked", f"{event.request.configuration}", event.request.rung))
        elif isinstance(event, Told):
            keys.append((f"told {event.outcome.failure}", event.outcome.trial_id, 0))
    return keys


@pytest.mark.parametrize("n_slots", [1, 3, 8])
def test_searches_of_other_real_times_are_the_same(n_slots: int) -> None:
    first, *others = (
        order(searched(UnsteadyExecutor(seed), n_slots=n_slots)) for seed in range(6)
    )
    assert len(first) == 2 * N_TRIALS
    assert all(other == first for other in others)


def test_other_slots_give_another_search() -> None:
    orders = [order(searched(UnsteadyExecutor(0), n_slots=n_slots)) for n_slots in (1, 3, 8)]
    assert orders[0] != orders[1] != orders[2]


def test_results_come_in_another_order_than_they_were_asked_for() -> None:
    told = [key[1] for key in order(searched(UnsteadyExecutor(0), n_slots=8)) if "told" in key[0]]
    assert told != sorted(told)


@pytest.mark.parametrize("n_slots", [1, 3, 8])
def test_lost_workers_change_nothing(n_slots: int) -> None:
    steady = order(searched(UnsteadyExecutor(0), n_slots=n_slots))
    executor = UnsteadyExecutor(1, share_lost=0.4)
    assert order(searched(executor, n_slots=n_slots)) == steady
    assert executor.n_lost >= 3


@pytest.mark.parametrize("n_slots", [1, 3])
def test_a_search_that_is_killed_after_any_event_goes_on_as_if_it_had_not_been(
    n_slots: int,
) -> None:
    whole = searched(UnsteadyExecutor(0), n_slots=n_slots)
    for n_kept in range(1, len(whole)):
        kept = tuple(whole[:n_kept])
        resumed = searched(UnsteadyExecutor(n_kept), n_slots=n_slots, log=kept)
        assert order(resumed) == order(whole), n_kept


def request(number: int, attempt: int = 1) -> TrialRequest:
    return TrialRequest(
        trial_id=f"t{number:04d}",
        config_id=f"c{number:04d}",
        configuration={"lr_sgd": 0.1},
        rung=0,
        epochs=3,
        seed=0,
        attempt=attempt,
    )


@pytest.fixture
def virtual() -> Callable[[int], tuple[VirtualTimeExecutor, UnsteadyExecutor]]:
    def made(n_slots: int) -> tuple[VirtualTimeExecutor, UnsteadyExecutor]:
        behind = UnsteadyExecutor(0)
        clock = VirtualClock(n_slots=n_slots, seed=0)
        return VirtualTimeExecutor(behind, clock), behind

    return made


def next_outcome(executor: VirtualTimeExecutor) -> TrialOutcome:
    for _ in range(1000):
        for event in executor.next_events(0.0):
            if isinstance(event, Finished):
                return event.outcome
    raise AssertionError("nothing came")


def test_the_slots_stay_whatever_workers_come_and_go(
    virtual: Callable[[int], tuple[VirtualTimeExecutor, UnsteadyExecutor]],
) -> None:
    executor, _ = virtual(5)
    reported = list(itertools.chain(*(executor.next_events(0.0) for _ in range(20))))
    assert reported == [SlotsChanged(5)]


def test_a_trial_that_is_tried_again_is_waited_for(
    virtual: Callable[[int], tuple[VirtualTimeExecutor, UnsteadyExecutor]],
) -> None:
    executor, behind = virtual(2)
    for number in (1, 2):
        executor.submit(job_of(numbered(number)))
    behind.share_lost = 1.0
    first = next_outcome(executor)
    assert first.failure is FailureKind.WORKER_LOST
    behind.share_lost = 0.0
    again = replace(request(int(first.trial_id[1:])), attempt=2)
    executor.submit(job_of(again))
    second = next_outcome(executor)
    assert (second.trial_id, second.attempt, second.failure) == (first.trial_id, 2, None)


def test_what_waits_for_a_slot_is_with_no_worker_and_can_be_taken_back(
    virtual: Callable[[int], tuple[VirtualTimeExecutor, UnsteadyExecutor]],
) -> None:
    executor, behind = virtual(1)
    for number in (1, 2, 3):
        executor.submit(job_of(numbered(number)))
    assert [job.request.trial_id for job in behind.jobs] == ["t0001"]
    assert next_outcome(executor).trial_id == "t0001"
    assert executor.recall() == ("t0003",)
    assert next_outcome(executor).trial_id == "t0002"
    executor.close()
    assert behind.is_closed


class IdleExecutor(UnsteadyExecutor):
    """Has one worker, which runs the first job and saves it when it is asked to."""

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        return []

    def recall(self) -> tuple[str, ...]:
        recalled, self.jobs = self.jobs[1:], self.jobs[:1]
        return tuple(job.request.trial_id for job in recalled)

    def suspend(self) -> None:
        pass


def test_what_waits_for_a_worker_is_taken_back_where_the_others_save_themselves() -> None:
    idle, clock = IdleExecutor(0), VirtualClock(n_slots=2, seed=3)
    executor = VirtualTimeExecutor(idle, clock)
    for number in (1, 2, 3):
        executor.submit(job_of(numbered(number)))
    executor.suspend()
    assert executor.recall() == ("t0003", "t0002")
    assert clock.next_to_end() == "t0001"


def test_what_waits_for_a_worker_runs_where_the_others_may_end() -> None:
    executor = VirtualTimeExecutor(UnsteadyExecutor(0), VirtualClock(n_slots=2, seed=3))
    for number in (1, 2, 3):
        executor.submit(job_of(numbered(number)))
    assert executor.recall() == ("t0003",)
