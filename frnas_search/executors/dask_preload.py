"""What every worker process does first: leave Ctrl-C to the process that started it.

A terminal sends it to the whole process group; a worker that dies of it takes its trial along.
"""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Called by Dask in the worker's process before it connects."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
