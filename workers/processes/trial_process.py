"""A worker's side of its training process: start it, hand it a job, watch it, end it.

Training never runs in the worker itself: a CUDA error, a crash or a hang then costs one child and
not the worker, and the worker keeps answering the scheduler. No torch is imported here.
"""

from __future__ import annotations

import contextlib
import functools
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
from typing import IO, TYPE_CHECKING, Any

from results.trial import FailureKind, Fault, TrialOutcome, failed_attempt, outcome_from_json
from workers.processes.killed import kills_for_memory
from workers.settings import TrialJob, job_to_json
from workers.trials.messages import (
    Heartbeat,
    Hello,
    ProofRequest,
    heartbeat_from_json,
    hello_from_json,
    proof_request_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_POLL_SECONDS = 0.2
_KEPT_LOG_LINES = 20
_KEPT_CHARACTERS = 500
_LOG_SETTLES_SECONDS = 0.1
KEPT_LINE = "\x1e"
"""Before a line of the child's log that is kept for a failure's record and not passed on."""
_LOG_END_SECONDS = 1.0
_SILENT_SECONDS = 60.0
"""Without a heartbeat: a training process that runs, however busy, has one every two seconds."""

_GRACE_SECONDS = 20.0
"""To save a checkpoint in; clusters kill about 30 s after they have told a job to end."""

_PROOF_SECONDS = 600.0
"""For loading libraries and reading a large pack from a slow disk."""
_CHILD = (
    sys.executable,
    "-P",
    "-m",
    "workers.processes.child",
)  # -P: not from whatever folder this is
_PATIENCE_ELSEWHERE = 10
"""Times as long as in training: evaluating and reading data do not tell how far they are."""

# Signals that somebody sends; those of a fault, such as SIGSEGV, are the training's own.
_TOLD_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class TrialProcess:
    """One training process at a time, started when first needed and again after it died.

    Not safe for threads: one job at a time.
    """

    def __init__(
        self, command: tuple[str, ...] = _CHILD, *, pass_on: Callable[[str], None] | None = None
    ) -> None:
        """A process that is started when it is needed.

        Args:
            command: What to start.
            pass_on: Gets each line that it writes to standard error, but for those that are for
                a failure's record only; by default they go to this process's own.
        """
        self._command = command
        self._pass_on = pass_on or _to_standard_error
        self._child: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._log: deque[str] = deque(maxlen=_KEPT_LOG_LINES)
        self._log_thread: threading.Thread | None = None
        self._n_kills = 0

    def run(
        self,
        job: TrialJob,
        *,
        is_wanted: Callable[[], bool] = lambda: True,
        hear: Callable[[Heartbeat], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> TrialOutcome:
        """Train and evaluate one job; whatever happens to the child is an outcome.

        Args:
            job: What to run; its timeout is kept here, where a hang cannot stop it.
            is_wanted: Asked several times a second; when it says no, the child is told to save
                itself and end, and is ended when it does not.
            hear: Called with each heartbeat, every few seconds.
            clock: Seconds that only rise.
        """
        try:
            outcome = self._run(job, is_wanted, hear, clock)
        except BaseException:
            self.close()  # its answer must not be taken for the next job's
            raise
        if outcome.failure is not None:
            outcome = replace(outcome, log=self._last_lines())
        if outcome.failure is FailureKind.CRASHED:
            self.close()  # after a CUDA error, for one, nothing works in that process any more
        return outcome

    def prove(self, request: ProofRequest) -> Hello:
        """What the training process has to show for itself; unfit where it does not come up."""
        self._log.clear()
        self._send({"proof": proof_request_to_json(request)})
        deadline = time.monotonic() + _PROOF_SECONDS
        while time.monotonic() < deadline:
            message = self._next_message()
            if message is None:
                code = self._forget_child()
                return Hello(unfit=f"its training process {_ended(code)}: {self._last_words()}")
            if "hello" in message:
                return hello_from_json(message["hello"])
        self.close()
        return Hello(unfit=f"its training process said nothing for {_PROOF_SECONDS:g} s")

    def _last_words(self) -> str:
        lines = [line for line in self._log if line.strip()]
        return lines[-1].strip()[:_KEPT_CHARACTERS] if lines else "it said nothing"

    def _run(
        self,
        job: TrialJob,
        is_wanted: Callable[[], bool],
        hear: Callable[[Heartbeat], None],
        clock: Callable[[], float],
    ) -> TrialOutcome:
        watch = _Watch(job, clock)
        self._log.clear()  # of the trial before
        self._n_kills = kills_for_memory()
        self._send({"job": job_to_json(job)})
        while True:
            message = self._next_message()
            if message is None:
                return self._died(job, watch.seconds)
            if (outcome := _outcome(message, job)) is not None:
                return outcome
            watch.looked()
            if (heartbeat := _heartbeat(message, job)) is not None:
                watch.heard(heartbeat)
                hear(heartbeat)
            if not watch.is_leaving and not is_wanted():
                watch.leave()
                self._send({"leave": True})
            ended = watch.why_ended()
            if ended is not None:
                self.close()
                return ended

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

    def _send(self, message: Mapping[str, Any]) -> None:
        child = self._running_child()
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died; the reader's None says so
            child.stdin.write(json.dumps(message) + "\n")
            child.stdin.flush()

    def _next_message(self) -> dict[str, Any] | None:
        """What the child says next, empty when nothing for a while; None when it is gone."""
        try:
            line = self._answers.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return {}
        return None if line is None else _message(line)

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
            target=_relay_log, args=(child.stderr, self._log, self._pass_on), daemon=True
        )
        self._log_thread.start()
        return child

    def _died(self, job: TrialJob, seconds: float) -> TrialOutcome:
        code = self._forget_child()
        failed = functools.partial(failed_attempt, job.request, seconds=seconds)
        last_lines = "\n".join(self._log)
        if -code == signal.SIGKILL and kills_for_memory() > self._n_kills:
            detail = "the kernel has killed the training process for lack of memory"
            return failed(FailureKind.OUT_OF_MEMORY, f"{detail}\n{last_lines}")
        if -code == signal.SIGKILL:
            # Somebody's kill: says nothing of the configuration.
            return failed(FailureKind.WORKER_LOST, "the training process was killed (SIGKILL)")
        if -code in _TOLD_TO_END:
            name = signal.Signals(-code).name
            detail = f"the training process was told to end ({name})"
            return failed(FailureKind.WORKER_LOST, detail, fault=Fault.CLUSTER)
        detail = f"the training process {_ended(code)}\n{last_lines}"
        if -code == signal.SIGBUS:  # a file that it had mapped, such as the pack, was cut off
            return failed(FailureKind.DATA_ERROR, detail)
        return failed(FailureKind.CRASHED, detail)

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


class _Watch:
    """When an attempt that does not end by itself is ended.

    Args:
        job: What runs.
        clock: Seconds that only rise.
    """

    def __init__(self, job: TrialJob, clock: Callable[[], float]) -> None:
        self._job = job
        self._clock = clock
        self._started = self._looked = self._heard = clock()
        self._told_to_leave: float | None = None
        self._last: Heartbeat | None = None

    @property
    def seconds(self) -> float:
        """Since the attempt began."""
        return self._clock() - self._started

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to save itself and end."""
        return self._told_to_leave is not None

    def looked(self) -> None:
        """Called whenever it was asked whether the child has said something."""
        now = self._clock()
        if now - self._looked > _SILENT_SECONDS / 4:
            self._heard = now  # this process itself was stopped: nothing could be heard
        self._looked = now

    def heard(self, heartbeat: Heartbeat) -> None:
        """The child is alive."""
        self._heard, self._last = self._clock(), heartbeat

    def leave(self) -> None:
        """The child was told to end."""
        self._told_to_leave = self._clock()

    def why_ended(self) -> TrialOutcome | None:
        """What becomes of the attempt where it must be ended now; None where it goes on."""
        now, timeout = self._clock(), self._job.training.timeout_seconds
        failed = functools.partial(failed_attempt, self._job.request, seconds=self.seconds)
        if timeout is not None and now - self._started > timeout:
            detail = f"ran longer than {timeout:g} s (training.timeout_seconds)"
            return failed(FailureKind.TIMED_OUT, detail)
        if self._told_to_leave is not None:
            if now - self._told_to_leave <= _GRACE_SECONDS:
                return None
            detail = f"told to end, and did not save itself within {_GRACE_SECONDS:g} s"
            return failed(FailureKind.WORKER_LOST, detail, fault=Fault.CLUSTER)
        why = self._why_stalled(now)
        return None if why is None else failed(FailureKind.STALLED, why)

    def _why_stalled(self, now: float) -> str | None:
        limit = self._job.stall_seconds
        if now - self._heard > min(_SILENT_SECONDS, limit):
            return (
                f"its training process has said nothing for {now - self._heard:.0f} s; it is "
                "stopped, or its machine is"
            )
        if self._last is None:
            return None
        phase = self._last.phase
        most = limit if phase == "training" else limit * _PATIENCE_ELSEWHERE
        if self._last.still_seconds <= most:
            return None
        return (
            f"its training process is alive and has stood still for "
            f"{self._last.still_seconds:.0f} s while {phase} (workers.stall_seconds)"
        )


def _message(line: str) -> dict[str, Any]:
    """What a line from the child says; nothing if it is something that a library printed."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _outcome(message: Mapping[str, Any], job: TrialJob) -> TrialOutcome | None:
    """The outcome of the job, if the message is that."""
    value = message.get("outcome")
    if not isinstance(value, dict) or value.get("trial_id") != job.request.trial_id:
        return None
    return outcome_from_json(value)


def _heartbeat(message: Mapping[str, Any], job: TrialJob) -> Heartbeat | None:
    """The heartbeat of the job, if the message is that."""
    value = message.get("heartbeat")
    if not isinstance(value, dict) or value.get("trial_id") != job.request.trial_id:
        return None
    return heartbeat_from_json(value)


def _ended(code: int) -> str:
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"ended with {how}"


def _relay_answers(source: IO[str], answers: queue.Queue[str | None]) -> None:
    with source:
        for line in source:
            answers.put(line)
    answers.put(None)


def _to_standard_error(line: str) -> None:
    # Whatever has become of our own standard error, the child's must be read: it would wait for
    # ever on a full pipe.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line)


def _relay_log(source: IO[str], log: deque[str], pass_on: Callable[[str], None]) -> None:
    with source:
        for line in source:
            log.append(line.rstrip("\n").removeprefix(KEPT_LINE))
            if line.startswith(KEPT_LINE):
                continue
            pass_on(line)
