"""What every executor keeps; on a cluster in `tests/integration/test_dask_contract.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from frnas_search.coordinator.executor import Executor, InlineExecutor
from frnas_search.coordinator.state import Finished, SlotsChanged
from frnas_search.executors.virtual_clock import VirtualClock
from frnas_search.executors.virtual_time import VirtualTimeExecutor
from results.trial import FailureKind, TrialOutcome
from tests.fakes import doomed_job, fail_at_once

PATIENCE_SECONDS = 60.0


@contextmanager
def inline_executors() -> Iterator[Callable[[], Executor]]:
    yield lambda: InlineExecutor(fail_at_once, n_slots=2)


@contextmanager
def virtual_time_executors() -> Iterator[Callable[[], Executor]]:
    def make() -> Executor:
        inline = InlineExecutor(fail_at_once, n_slots=2)
        return VirtualTimeExecutor(inline, VirtualClock(n_slots=2, seed=0))

    yield make


@pytest.fixture(scope="module", params=[inline_executors, virtual_time_executors])
def new_executor(request: pytest.FixtureRequest) -> Iterator[Callable[[], Executor]]:
    with request.param() as make:
        yield make


@pytest.fixture
def executor(new_executor: Callable[[], Executor]) -> Iterator[Executor]:
    made = new_executor()
    yield made
    made.close()


def collect(executor: Executor, n_finished: int) -> tuple[list[int], list[TrialOutcome]]:
    """Slots as they were reported, and outcomes, until there are so many."""
    slots: list[int] = []
    outcomes: list[TrialOutcome] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(outcomes) < n_finished and time.monotonic() < deadline:
        for event in executor.next_events(1.0):
            if isinstance(event, SlotsChanged):
                slots.append(event.n_slots)
            elif isinstance(event, Finished):
                outcomes.append(event.outcome)
    return slots, outcomes


def test_the_number_of_slots_is_reported_first_and_once(executor: Executor) -> None:
    assert executor.next_events(5.0)[0] == SlotsChanged(2)
    executor.submit(doomed_job(1))
    slots, _ = collect(executor, 1)
    assert slots == []


def test_every_job_has_one_outcome_also_with_more_jobs_than_workers(executor: Executor) -> None:
    for number in range(5):
        executor.submit(doomed_job(number))
    _, outcomes = collect(executor, 5)
    assert sorted(outcome.trial_id for outcome in outcomes) == [f"t{i:04d}" for i in range(5)]
    assert {outcome.failure for outcome in outcomes} == {FailureKind.DATA_ERROR}
    assert executor.next_events(0.0) == []
    assert executor.attendance().n_busy == 0


def test_an_outcome_says_which_attempt_it_is_of(executor: Executor) -> None:
    executor.submit(doomed_job(1, attempt=2))
    _, (outcome,) = collect(executor, 1)
    assert outcome.attempt == 2


def test_the_same_trial_may_be_tried_again(executor: Executor) -> None:
    executor.submit(doomed_job(1))
    collect(executor, 1)
    executor.submit(replace(doomed_job(1), request=replace(doomed_job(1).request, attempt=2)))
    _, (outcome,) = collect(executor, 1)
    assert (outcome.trial_id, outcome.attempt) == ("t0001", 2)


def test_jobs_that_wait_for_a_worker_can_be_taken_back(executor: Executor) -> None:
    executor.next_events(5.0)
    for number in range(6):
        executor.submit(doomed_job(number))
    recalled = executor.recall()
    assert recalled == tuple(f"t{number:04d}" for number in range(2, 6))
    _, outcomes = collect(executor, 2)
    assert sorted(each.trial_id for each in outcomes) == ["t0000", "t0001"]
    assert executor.recall() == ()
    assert executor.next_events(1.0) == []


def test_the_attendance_is_known(executor: Executor) -> None:
    executor.next_events(1.0)
    attendance = executor.attendance()
    assert (attendance.n_workers, attendance.n_busy, attendance.waiting_for) == (2, 0, "")


def test_closing_gives_up_what_is_running_and_twice_is_fine(executor: Executor) -> None:
    executor.next_events(1.0)
    executor.submit(doomed_job(1))
    executor.submit(doomed_job(2))
    executor.close()
    executor.close()
