"""One trial from its job to its outcome. Never raises: a failed trial is an outcome too."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from results.trial import FailureKind, TrialOutcome
from workers.settings import TrialJob
from workers.trials.failures import detail_of, failure_kind
from workers.trials.function import Findings, Progress
from workers.trials.proof import prove
from workers.trials.registry import load, trial_function


def run_trial(job: TrialJob, *, clock: Callable[[], float] = time.monotonic) -> TrialOutcome:
    """Do what the job's trial function does, and say what became of it.

    Args:
        job: What to run.
        clock: Seconds that only rise.
    """
    started = clock()
    progress = Progress()
    try:
        function = trial_function(job.function)
        prove(function.requirements(job))
        findings = load(function)(job, progress, clock=clock)
        outcome = _finished(job, progress, findings, seconds=clock() - started)
    except Exception as error:  # noqa: BLE001 - the one place: no exception crosses a process
        outcome = _failed(job, progress, error, seconds=clock() - started)
    return outcome


def _finished(
    job: TrialJob, progress: Progress, findings: Findings, *, seconds: float
) -> TrialOutcome:
    return TrialOutcome(
        trial_id=job.request.trial_id,
        attempt=job.request.attempt,
        costs=findings.costs,
        interval95=findings.interval95,
        metrics=findings.metrics,
        architecture=progress.architecture,
        seconds=seconds,
        epochs_trained=progress.epochs_trained,
        checkpoint=progress.checkpoint,
        device=progress.device,
    )


def _failed(
    job: TrialJob, progress: Progress, error: Exception, *, seconds: float
) -> TrialOutcome:
    kind = failure_kind(error)
    if kind is FailureKind.OUT_OF_MEMORY and torch.cuda.is_available():
        torch.cuda.empty_cache()  # for the next trial
    return TrialOutcome(
        trial_id=job.request.trial_id,
        attempt=job.request.attempt,
        failure=kind,
        detail=detail_of(error, kind),
        architecture=progress.architecture,
        seconds=seconds,
        epochs_trained=progress.epochs_trained,
        checkpoint=progress.checkpoint,
        device=progress.device,
    )
