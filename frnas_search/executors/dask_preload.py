"""What every worker process does first: it leaves Ctrl-C to others, and ends well when told to.

A terminal sends Ctrl-C to the whole process group; a worker that dies of it takes its trial along.
Whoever ends a job of a cluster sends SIGTERM to all of its processes: the trial that runs saves
itself and goes back, and then the worker ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from frnas_search.telemetry import JsonFormatter, quiet_libraries
from workers.processes import task

if TYPE_CHECKING:
    from distributed import Worker

logger = logging.getLogger(__name__)

LOG_VARIABLE = "FRNAS_WORKER_LOG"
"""In a worker's environment: `text` or `json` for a line a trial, else warnings alone as text."""

_LOOK_SECONDS = 0.2
_FLUSH_SECONDS = 1.0


async def dask_setup(worker: Worker) -> None:
    """Called by Dask in the worker's process before it connects."""
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    endings: list[asyncio.Task[None]] = []  # kept, or it would be collected while it waits

    def end() -> None:
        if not endings:
            endings.append(loop.create_task(_end(worker)))

    loop.add_signal_handler(signal.SIGTERM, end)
    configure_worker_logging(os.environ.get(LOG_VARIABLE, ""))


async def _end(worker: Worker) -> None:
    task.leave()
    while worker.state.executing_count:
        await asyncio.sleep(_LOOK_SECONDS)
    await asyncio.sleep(_FLUSH_SECONDS)  # the answer is on its way
    await worker.close(nanny=True, reason="told to end")


def configure_worker_logging(kind: str) -> None:
    """Send this process's log to standard error, and nothing of Dask's besides.

    Args:
        kind: As in `LOG_VARIABLE`, or `json-warnings`.
    """
    handler = logging.StreamHandler(sys.stderr)
    if kind.startswith("json"):
        handler.setFormatter(JsonFormatter())
        task.pass_lines_on(lambda line: logger.warning("%s", line.rstrip("\n")))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if kind in ("text", "json") else logging.WARNING)
    quiet_libraries()
