"""The function that is sent to workers. Importing it must cost nothing: the scheduler does.

The training process behind it is this worker process's own and lives from task to task.
"""

from __future__ import annotations

import atexit
from functools import cache
from typing import TYPE_CHECKING, Any

from results.trial import outcome_to_json
from workers.processes.trial_process import TrialProcess
from workers.settings import job_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def run_job(job: Mapping[str, Any], is_wanted: Callable[[], bool]) -> dict[str, Any]:
    """Run one job in this worker's training process; JSON in, JSON out.

    Args:
        job: What `workers.settings.job_to_json` wrote.
        is_wanted: Asked several times a second; when it says no, the training is ended.
    """
    outcome = _training_process().run(job_from_json(job), is_wanted=is_wanted)
    return outcome_to_json(outcome)


@cache
def _training_process() -> TrialProcess:
    process = TrialProcess()
    atexit.register(process.close)
    return process
