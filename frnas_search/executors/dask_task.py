"""The functions that run on a Dask worker. The scheduler imports them: no torch, no SMAC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import get_worker
from distributed.core import Status

from workers.processes import task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def run_on_worker(job: Mapping[str, Any], topic: str) -> dict[str, Any]:
    """Run one job in this worker's training process; JSON in, JSON out.

    The training saves itself and ends when the scheduler takes the task back, as it does when its
    coordinator is gone, and when the worker is told to end.

    Args:
        job: What `workers.settings.job_to_json` wrote.
        topic: Of the events by which its heartbeats travel.
    """
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        if worker.status not in (Status.running, Status.paused):
            return False
        state = worker.state.tasks.get(key)
        return state is not None and state.state == "executing"

    def hear(heartbeat: Mapping[str, Any]) -> None:
        worker.log_event(topic, dict(heartbeat) | {"worker": worker.address})

    return task.run_job(job, is_wanted, hear)


def prove_on_worker(request: Mapping[str, Any]) -> dict[str, Any]:
    """What this worker has to show for itself; JSON in, JSON out."""
    return task.prove(request)


def suspend_on_worker(attempts: Iterable[tuple[str, int]]) -> None:
    """Let those of the trials' attempts that run in this worker save themselves and come back."""
    for trial_id, attempt in attempts:
        task.suspend(trial_id, attempt)
