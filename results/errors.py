"""Errors that the package `results` raises on purpose."""

from __future__ import annotations


class ResultsError(Exception):
    """Base of all errors about records, logs and run directories."""


class RunNotFoundError(ResultsError, FileNotFoundError):
    """There is no run at this place."""


class RunDirectoryError(ResultsError):
    """A file of a run directory cannot be used: for its permissions, or for what it is."""


class AmbiguousRunError(ResultsError, ValueError):
    """A name is that of two runs."""


class RunExistsError(ResultsError, FileExistsError):
    """The run directory already holds another run."""


class RunLockedError(ResultsError):
    """Another process is writing to this run."""


class LogError(ResultsError):
    """The event log cannot be read or written."""


class ShorterLogError(LogError):
    """The event log lost its end, or is not the one that was written there."""


class SelectionError(ResultsError, ValueError):
    """A selection names no configuration, or one that is not in the run."""
