"""A worker's side of its training process: start it, hand it a job, watch it, end it.

Training never runs in the worker itself: a CUDA error, a crash or a hang then costs one child and
not the worker, and the worker keeps answering the scheduler. No torch is imported here.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import IO, TYPE_CHECKING

from results.trial import FailureKind, TrialOutcome, outcome_from_json
from workers.settings import TrialJob, job_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.2
_KEPT_LOG_LINES = 20
_CHILD = (sys.executable, "-m", "workers.child")


class TrialProcess:
    """One training process at a time, started when first needed and again after it died.

    Not safe for threads: one job at a time.
    """

    def __init__(self, command: tuple[str, ...] = _CHILD) -> None:
        self._command = command
        self._child: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._log: deque[str] = deque(maxlen=_KEPT_LOG_LINES)

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
        self._hand_over(job)
        started = clock()
        timeout = job.training.timeout_seconds
        while True:
            try:
                answer = self._answers.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if timeout is not None and clock() - started > timeout:
                    self.close()
                    words = f"ran longer than {timeout:g} s (training.timeout_seconds)"
                    return _failed(job, FailureKind.TIMED_OUT, words, clock() - started)
                if not is_wanted():
                    self.close()
                    words = "nobody waits for this trial any more"
                    return _failed(job, FailureKind.WORKER_LOST, words, clock() - started)
                continue
            if answer is None:
                return self._died(job, clock() - started)
            return outcome_from_json(json.loads(answer))

    def close(self) -> None:
        """End the child, if there is one, and wait until it is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _hand_over(self, job: TrialJob) -> None:
        child = self._running_child()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(job_to_json(job)) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass  # it died between two trials; the reader's None says so

    def _running_child(self) -> subprocess.Popen[str]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert child.stdout is not None
        assert child.stderr is not None
        self._child, self._answers = child, queue.Queue()
        self._log.clear()
        threading.Thread(
            target=_relay_answers, args=(child.stdout, self._answers), daemon=True
        ).start()
        threading.Thread(target=_relay_log, args=(child.stderr, self._log), daemon=True).start()
        return child

    def _died(self, job: TrialJob, seconds: float) -> TrialOutcome:
        assert self._child is not None
        code = self._child.wait()
        self._child = None
        if code == -signal.SIGKILL:
            # Somebody's kill, or the kernel's when memory is short: says nothing certain about
            # the configuration, so it is tried again, a bounded number of times.
            words = "the training process was killed (kill -9, or the machine ran out of memory)"
            return _failed(job, FailureKind.WORKER_LOST, words, seconds)
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last_lines = "\n".join(self._log)
        words = f"the training process ended with {ended}\n{last_lines}"
        return _failed(job, FailureKind.CRASHED, words, seconds)


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
    for line in source:
        answers.put(line)
    answers.put(None)


def _relay_log(source: IO[str], log: deque[str]) -> None:
    for line in source:
        log.append(line.rstrip("\n"))
        sys.stderr.write(line)
