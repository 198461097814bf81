"""The training process: reads one message a line from standard input, answers a line each.

Started as `python -m workers.processes.child` by `workers.processes.trial_process`. It lives
from trial to trial, so the data set and the libraries stay loaded. It ends when standard input
does: a worker that dies, however it dies, leaves no training behind. While a trial runs, a thread
says every few seconds how far it is; a process that is stopped says nothing.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from results.trial import outcome_to_json
from workers.processes.trial_process import KEPT_LINE
from workers.settings import TrialJob, job_from_json
from workers.trials.function import EpochReport, Progress
from workers.trials.messages import (
    Heartbeat,
    heartbeat_to_json,
    hello_to_json,
    proof_request_from_json,
)

_BEAT_SECONDS = 2.0


def main() -> None:
    """Serve jobs until standard input ends."""
    answers = _Answers(_own_standard_output())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(
        target=_read_messages, args=(sys.stdin, messages, leaving), daemon=True
    ).start()
    from workers.trials.proof import shown  # only now: what libraries print is no answer
    from workers.trials.run import run_trial

    while True:
        message = messages.get()
        if "proof" in message:
            hello = shown(proof_request_from_json(message["proof"]))
            answers.write({"hello": hello_to_json(hello)})
            continue
        job = job_from_json(message["job"])
        progress = Progress(is_to_leave=leaving.is_set)
        with _Pulse(job, progress, answers.write):
            outcome = run_trial(job, progress)
        answers.write({"outcome": outcome_to_json(outcome)})


class _Answers:
    """The pipe to the worker; one line at a time, whichever thread writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, value: dict[str, Any]) -> None:
        with self._lock:
            self._stream.write(json.dumps(value) + "\n")
            self._stream.flush()


class _Pulse:
    """Says every few seconds how far a trial is, and once more at its end."""

    def __init__(
        self, job: TrialJob, progress: Progress, write: Callable[[dict[str, Any]], None]
    ) -> None:
        self._job = job
        self._progress = progress
        self._write = write
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)

    def __enter__(self) -> _Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._beat()

    def _beat_on(self) -> None:
        self._beat()
        while not self._is_over.wait(_BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        progress, request = self._progress, self._job.request
        now = time.monotonic()
        reports: list[EpochReport] = []
        while progress.reports:
            reports.append(progress.reports.popleft())
        heartbeat = Heartbeat(
            trial_id=request.trial_id,
            attempt=request.attempt,
            phase=progress.phase,
            epoch=progress.epoch,
            n_epochs=request.epochs,
            step=progress.step,
            n_steps=progress.n_steps,
            loss=progress.loss,
            pictures_per_second=progress.pictures_per_second,
            memory_bytes=progress.memory_bytes,
            seconds_left=progress.seconds_left,
            still_seconds=now - progress.advanced,
            saved_seconds=None if progress.saved is None else now - progress.saved,
            reports=tuple(reports),
        )
        self._write({"heartbeat": heartbeat_to_json(heartbeat)})


class _LineFormatter(logging.Formatter):
    """Level and message; what is no warning is marked as for a failure's record only."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname} {super().format(record)}"
        return line if record.levelno >= logging.WARNING else KEPT_LINE + line


def _own_standard_output() -> TextIO:
    """Keep the answers' pipe for ourselves; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _read_messages(
    source: TextIO, messages: queue.Queue[dict[str, Any]], leaving: threading.Event
) -> None:
    for line in source:
        message = json.loads(line)
        if "leave" in message:
            leaving.set()
        else:
            leaving.clear()
            messages.put(message)
    os._exit(0)  # the main thread may be deep in training; nothing of it is wanted any more


if __name__ == "__main__":
    main()
