"""A worker's side of its training process: start it, hand it a job, watch it, end it.

Training never runs in the worker itself: a CUDA error, a crash or a hang then costs one child and
not the worker, and the worker keeps answering the scheduler. No torch is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from results.trial import FailureKind, TrialOutcome, outcome_from_json
from workers.settings import TrialJob, job_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.2
_KEPT_LOG_LINES = 20
_KEPT_CHARACTERS = 500
_LOG_SETTLES_SECONDS = 0.1
KEPT_LINE = "\x1e"
"""Before a line of the child's log that is kept for a failure's record and not passed on."""
_LOG_END_SECONDS = 1.0
_CHILD = (
    sys.executable,
    "-P",
    "-m",
    "workers.processes.child",
)  # -P: not from whatever folder this is
# Signals that somebody sends; those of a fault, such as SIGSEGV, are the configuration's.
_KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class TrialProcess:
    """One training process at a time, started when first needed and again after it died.

    Not safe for threads: one job at a time.
    """

    def __init__(self, command: tuple[str, ...] = _CHILD) -> None:
        self._command = command
        self._child: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._log: deque[str] = deque(maxlen=_KEPT_LOG_LINES)
        self._log_thread: threading.Thread | None = None

    def run(
        self,
        job: TrialJob,
        *,
        is_wanted: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> TrialOutcome:
        """Train and evaluate one job; whatever happens to the child is an outcome.

        Args:
            job: What to run; its timeout is kept here, where a hang cannot stop it.
            is_wanted: Asked several times a second; when it says no, the child is ended.
            clock: Seconds that only rise.
        """
        try:
            outcome = self._run(job, is_wanted, clock)
        except BaseException:
            self.close()  # its answer must not be taken for the next job's
            raise
        if outcome.failure is not None:
            outcome = replace(outcome, log=self._last_lines())
        if outcome.failure is FailureKind.CRASHED:
            self.close()  # after a CUDA error, for one, nothing works in that process any more
        return outcome

    def _run(
        self, job: TrialJob, is_wanted: Callable[[], bool], clock: Callable[[], float]
    ) -> TrialOutcome:
        started = clock()
        self._log.clear()  # of the trial before
        self._send_job(job)
        timeout = job.training.timeout_seconds
        while True:
            try:
                answer = self._answers.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                answer = ""
            if answer is None:
                return self._died(job, clock() - started)
            if (outcome := _outcome(answer, job)) is not None:
                return outcome
            if timeout is not None and clock() - started > timeout:
                self.close()
                detail = f"ran longer than {timeout:g} s (training.timeout_seconds)"
                return _failed(job, FailureKind.TIMED_OUT, detail, clock() - started)
            if not is_wanted():
                self.close()
                detail = "nobody waits for this trial any more"
                return _failed(job, FailureKind.WORKER_LOST, detail, clock() - started)

    def close(self) -> None:
        """End the child, if there is one, and wait until it is gone."""
        if self._child is not None:
            self._child.kill()
            self._forget_child()

    def _last_lines(self) -> tuple[str, ...]:
        """What the child logged on this trial last; bounded, for it goes into the event log."""
        if self._child is not None:
            time.sleep(_LOG_SETTLES_SECONDS)  # the answer may have overtaken it
        return tuple(line[:_KEPT_CHARACTERS] for line in tuple(self._log))

    def _send_job(self, job: TrialJob) -> None:
        child = self._running_child()
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died; the reader's None says so
            child.stdin.write(json.dumps(job_to_json(job)) + "\n")
            child.stdin.flush()

    def _running_child(self) -> subprocess.Popen[str]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.close()
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C in the terminal goes to its whole process group; a stop lets trials end.
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert child.stdout is not None
        assert child.stderr is not None
        self._child, self._answers = child, queue.Queue()
        self._log.clear()
        threading.Thread(
            target=_relay_answers, args=(child.stdout, self._answers), daemon=True
        ).start()
        self._log_thread = threading.Thread(
            target=_relay_log, args=(child.stderr, self._log), daemon=True
        )
        self._log_thread.start()
        return child

    def _died(self, job: TrialJob, seconds: float) -> TrialOutcome:
        code = self._forget_child()
        if -code in _KILLS:
            # Somebody's kill, or the kernel's when memory is short: says nothing certain about
            # the configuration, so it is tried again, a bounded number of times.
            name = signal.Signals(-code).name
            detail = f"the training process was killed ({name}, or the machine ran out of memory)"
            return _failed(job, FailureKind.WORKER_LOST, detail, seconds)
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last_lines = "\n".join(self._log)
        detail = f"the training process ended with {ended}\n{last_lines}"
        return _failed(job, FailureKind.CRASHED, detail, seconds)

    def _forget_child(self) -> int:
        """Wait for the child's end and for its last lines; its exit code, negative a signal."""
        child, self._child = self._child, None
        assert child is not None
        assert child.stdin is not None
        code = child.wait()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        if self._log_thread is not None:
            self._log_thread.join(_LOG_END_SECONDS)
        return code


def _outcome(answer: str, job: TrialJob) -> TrialOutcome | None:
    """The outcome in a line from the child; None if it is something that a library printed."""
    try:
        value = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(value, dict) or value.get("trial_id") != job.request.trial_id:
        return None
    return outcome_from_json(value)


def _failed(job: TrialJob, kind: FailureKind, detail: str, seconds: float) -> TrialOutcome:
    request = job.request
    return TrialOutcome(
        trial_id=request.trial_id,
        attempt=request.attempt,
        failure=kind,
        detail=detail,
        seconds=seconds,
    )


def _relay_answers(source: IO[str], answers: queue.Queue[str | None]) -> None:
    with source:
        for line in source:
            answers.put(line)
    answers.put(None)


def _relay_log(source: IO[str], log: deque[str]) -> None:
    with source:
        for line in source:
            log.append(line.rstrip("\n").removeprefix(KEPT_LINE))
            if line.startswith(KEPT_LINE):
                continue
            # Whatever has become of our own standard error, the child's must be read: it would
            # wait for ever on a full pipe.
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(line)
