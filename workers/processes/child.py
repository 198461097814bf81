"""The training process: reads one job a line from standard input, answers one outcome a line.

Started as `python -m workers.processes.child` by `workers.processes.trial_process`. It lives
from trial to trial, so the data set and the libraries stay loaded. It ends when standard input
does: a worker that dies, however it dies, leaves no training behind.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from typing import TextIO

from results.trial import outcome_to_json
from workers.processes.trial_process import KEPT_LINE
from workers.settings import job_from_json


def main() -> None:
    """Serve jobs until standard input ends."""
    answers = _own_standard_output()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()
    from workers.trials.run import run_trial  # only now: what libraries print is no answer

    while True:
        job = job_from_json(json.loads(jobs.get()))
        answers.write(json.dumps(outcome_to_json(run_trial(job))) + "\n")
        answers.flush()


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


def _read_jobs(source: TextIO, jobs: queue.Queue[str]) -> None:
    for line in source:
        jobs.put(line)
    os._exit(0)  # the main thread may be deep in training; nothing of it is wanted any more


if __name__ == "__main__":
    main()
