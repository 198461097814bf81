"""Errors that the package `search_space` raises on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search_space.fault import Fault


class SearchSpaceError(Exception):
    """Base of all errors about search spaces and models."""


class InvalidConfigurationError(SearchSpaceError, ValueError):
    """A configuration does not name a network that can be built."""


class EmptySpaceError(SearchSpaceError, ValueError):
    """The settings describe a space in which no configuration is valid."""


class UnreadableSpaceError(EmptySpaceError):
    """A user's own space cannot be read.

    Attributes:
        fault: What is wrong, and at which place of the run file.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault
