"""The errors that frnas raises on purpose, to be caught; each says what is wrong and what to do.

Most are of a built-in kind as well: a run that is not there is a `FileNotFoundError`, a fault of a
run file or a name that means nothing a `ValueError`.
"""

from __future__ import annotations

from frnas_search.errors import (
    InstallationError,
    ReplayError,
    RunChangedError,
    RunFileError,
    SchedulerUnreachableError,
    SearchError,
)
from results.errors import (
    AmbiguousRunError,
    LogError,
    ResultsError,
    RunExistsError,
    RunLockedError,
    RunNotFoundError,
    SelectionError,
)
from search_space.errors import InvalidConfigurationError, SearchSpaceError
from workers.errors import CheckpointError, DataError, WorkerError

__all__ = [
    "AmbiguousRunError",
    "CheckpointError",
    "DataError",
    "InstallationError",
    "InvalidConfigurationError",
    "LogError",
    "ReplayError",
    "ResultsError",
    "RunChangedError",
    "RunExistsError",
    "RunFileError",
    "RunLockedError",
    "RunNotFoundError",
    "SchedulerUnreachableError",
    "SearchError",
    "SearchSpaceError",
    "SelectionError",
    "WorkerError",
]
