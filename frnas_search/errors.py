"""Errors that the package `frnas_search` raises on purpose."""

from __future__ import annotations


class SearchError(Exception):
    """Base of all errors about launching and running a search."""


class RunFileError(SearchError, ValueError):
    """A run file has faults; the message lists every one of them with its place."""


class SchedulerUnreachableError(SearchError, ConnectionError):
    """No scheduler answers at the address."""


class ReplayError(SearchError):
    """Replaying the event log did not reproduce the proposals that it holds."""


class PortInUseError(SearchError, OSError):
    """A server cannot listen at the address it was given."""


class RunChangedError(SearchError, ValueError):
    """A run cannot be resumed: its space, data or versions are not those it was started with."""


class AddressError(SearchError):
    """A text is no address of a scheduler; waiting for one would not help."""


class InstallationError(SearchError, ImportError):
    """One of the packages that Python finds is not the one that was installed with frnas."""
