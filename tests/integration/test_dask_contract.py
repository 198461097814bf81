"""The contract of executors, kept on a cluster: its tests again, with Dask's executor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from frnas_search.coordinator.executor import Executor, ExecutorEvent
from frnas_search.coordinator.state import Finished
from frnas_search.executors.cluster import local_cluster, worker_slots
from frnas_search.executors.registry import WorkerPool, open_executor
from tests.contract.test_executor import *  # noqa: F403 - every test of the contract, also new ones
from tests.fakes import doomed_job


@pytest.fixture(scope="module")
def new_executor() -> Iterator[Callable[[], Executor]]:
    """Executors of one cluster, each opened by the registry and closed by the test."""
    with (
        contextlib.ExitStack() as opened,
        local_cluster(worker_slots(gpus=[], n_cpu_workers=2)) as (_, address),
    ):
        pool = WorkerPool(executor="scheduler", scheduler=address)
        yield lambda: opened.enter_context(open_executor(pool))


def test_workers_that_are_started_here_run_jobs_too() -> None:
    with open_executor(WorkerPool(executor="local", n_local=1, device="cpu")) as executor:
        executor.submit(doomed_job(1))
        events: list[ExecutorEvent] = []
        while not any(isinstance(event, Finished) for event in events):
            events += executor.next_events(1.0)
    finished = [event.outcome.trial_id for event in events if isinstance(event, Finished)]
    assert finished == ["t0001"]
