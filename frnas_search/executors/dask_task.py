"""The function that runs on a Dask worker. The scheduler imports it: no torch, no SMAC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import get_worker
from distributed.core import Status

from workers.processes.task import run_job

if TYPE_CHECKING:
    from collections.abc import Mapping


def run_on_worker(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run one job in this worker's training process; JSON in, JSON out.

    The training is ended when the scheduler takes the task back, as it does when its coordinator
    is gone, and when the worker shuts down.
    """
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        if worker.status not in (Status.running, Status.paused):
            return False
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    return run_job(job, is_wanted)
