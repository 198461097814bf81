"""Results in virtual time from real workers, whose jobs fail at once: their data are not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from frnas_search.coordinator.executor import Executor, InlineExecutor
from frnas_search.coordinator.state import Finished
from frnas_search.executors.cluster import local_cluster, worker_slots
from frnas_search.executors.dask import DaskExecutor
from frnas_search.executors.virtual_clock import VirtualClock
from frnas_search.executors.virtual_time import VirtualTimeExecutor
from tests.fakes import doomed_job, fail_at_once

N_JOBS = 12
N_SLOTS = 4


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Executor]:
    with local_cluster(worker_slots(gpus=[], n_cpu_workers=2)) as (_, address):
        executor = DaskExecutor(Client(address, set_as_default=False), lambda: address)
        yield executor
        executor.close()


def finished(behind: Executor) -> list[str]:
    """Trials in the order of their results, a new one begun after each."""
    executor = VirtualTimeExecutor(behind, VirtualClock(n_slots=N_SLOTS, seed=0))
    n_submitted = 0
    names: list[str] = []
    while len(names) < N_JOBS:
        while n_submitted < min(N_JOBS, len(names) + N_SLOTS):
            n_submitted += 1
            executor.submit(doomed_job(n_submitted))
        events = executor.next_events(1.0)
        names += [each.outcome.trial_id for each in events if isinstance(each, Finished)]
    return names


def test_two_workers_give_the_order_of_one_that_runs_everything_in_turn(
    two_workers: Executor,
) -> None:
    expected = finished(InlineExecutor(fail_at_once))
    assert expected != sorted(expected)
    assert finished(two_workers) == expected
