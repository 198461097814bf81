"""One trial from its job to its outcome. Never raises: a failed trial is an outcome too."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch

from results.trial import FailureKind, TrialOutcome
from workers.data.packs.stored import require_intact_pack
from workers.errors import DataError
from workers.settings import TrialJob
from workers.trials.failures import Failure, failure_of
from workers.trials.function import Findings, Progress
from workers.trials.proof import prove
from workers.trials.registry import load, trial_function


def run_trial(
    job: TrialJob,
    progress: Progress | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> TrialOutcome:
    """Do what the job's trial function does, and say what became of it.

    Args:
        job: What to run.
        progress: Filled while it goes on, for whoever looks on.
        clock: Seconds that only rise.
    """
    started = clock()
    progress = progress or Progress()
    try:
        function = trial_function(job.function)
        prove(function.requirements(job.training.device, job.data, job.artefacts))
        findings = load(function)(job, progress, clock=clock)
        require_intact_pack(job.data)
        return _outcome(job, progress, findings, seconds=clock() - started)
    except Exception as error:  # noqa: BLE001 - the one place: no exception crosses a process
        failure = failure_of(error)
    failure = _blamed(failure, job)
    # Only now, for the error held on to the network that it came from.
    if failure.kind is FailureKind.OUT_OF_MEMORY and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return _outcome(job, progress, failure, seconds=clock() - started)


def _blamed(failure: Failure, job: TrialJob) -> Failure:
    """The failure, or that of the job's pack: what is learned from a damaged one says nothing."""
    try:
        require_intact_pack(job.data)
    except DataError as error:
        return failure_of(error)
    return failure


def _outcome(
    job: TrialJob, progress: Progress, ended: Findings | Failure, *, seconds: float
) -> TrialOutcome:
    outcome = functools.partial(
        TrialOutcome,
        trial_id=job.request.trial_id,
        attempt=job.request.attempt,
        architecture=progress.architecture,
        seconds=seconds,
        epochs_trained=progress.epochs_trained,
        checkpoint=progress.checkpoint,
        artefacts=progress.artefacts,
        device=progress.device,
    )
    if isinstance(ended, Failure):
        return outcome(failure=ended.kind, detail=ended.detail, fault=ended.fault)
    return outcome(costs=ended.costs, interval95=ended.interval95, metrics=ended.metrics)
