"""The function that is sent to workers. Importing it must cost nothing: the scheduler does.

The training process behind it is this worker process's own and lives from task to task.
"""

from __future__ import annotations

import atexit
import logging
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from results.trial import FailureKind, Fault, TrialOutcome, failed_attempt, outcome_to_json
from workers.processes.trial_process import TrialProcess
from workers.settings import job_from_json
from workers.trials.messages import (
    heartbeat_to_json,
    hello_to_json,
    proof_request_from_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from results.trial import TrialRequest
    from workers.settings import TrialJob

logger = logging.getLogger(__name__)


def run_job(
    job: Mapping[str, Any],
    is_wanted: Callable[[], bool],
    hear: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Run one job in this worker's training process; JSON in, JSON out.

    Args:
        job: What `workers.settings.job_to_json` wrote.
        is_wanted: Asked several times a second; when it says no, the training saves itself and
            ends.
        hear: Called with each heartbeat, as JSON.
    """
    todo = job_from_json(job)
    request = todo.request
    if _leaving.is_set():
        return outcome_to_json(_refused(todo))
    place = f"{request.trial_id} {request.config_id}"
    again = f" (attempt {request.attempt})" if request.attempt > 1 else ""
    logger.info("%s to %d epochs%s", place, request.epochs, again)
    outcome = _training_process().run(
        todo,
        is_wanted=lambda: is_wanted() and not _is_to_end(request),
        hear=lambda heartbeat: hear(heartbeat_to_json(heartbeat)),
    )
    logger.info("%s %s", place, _in_words(outcome))
    return outcome_to_json(outcome)


def prove(request: Mapping[str, Any]) -> dict[str, Any]:
    """What this worker has to show for itself; JSON in, JSON out.

    Args:
        request: What `workers.trials.messages.proof_request_to_json` wrote.
    """
    hello = _training_process().prove(proof_request_from_json(request))
    if hello.unfit:
        logger.error("this worker gets no trials: %s", hello.unfit)
    return hello_to_json(hello)


def leave() -> None:
    """Let the trial that runs save itself and end; no other is begun here any more."""
    _leaving.set()


def suspend(trial_id: str, attempt: int) -> None:
    """Let the attempt save itself and come back, if it is this one that runs or is about to."""
    _suspended.add((trial_id, attempt))


def _is_to_end(request: TrialRequest) -> bool:
    return _leaving.is_set() or (request.trial_id, request.attempt) in _suspended


def _refused(job: TrialJob) -> TrialOutcome:
    detail = "the worker was told to end before the trial began"
    return failed_attempt(job.request, FailureKind.WORKER_LOST, detail, fault=Fault.CLUSTER)


def _in_words(outcome: TrialOutcome) -> str:
    if outcome.costs is None:
        lines = outcome.detail.splitlines() or [""]
        return f"ended: {outcome.failure}, {lines[0]}"
    costs = "  ".join(f"{name} {value:.4g}" for name, value in outcome.costs.items())
    return f"done: {costs}  in {outcome.seconds:.1f} s"


_leaving = threading.Event()
_suspended: set[tuple[str, int]] = set()


def pass_lines_on(pass_on: Callable[[str], None]) -> None:
    """Say where the training process's warnings go; before the first trial."""
    _lines_go_to.append(pass_on)


_lines_go_to: list[Callable[[str], None]] = []


@cache
def _training_process() -> TrialProcess:
    process = TrialProcess(pass_on=_lines_go_to[-1] if _lines_go_to else None)
    atexit.register(process.close)
    return process
