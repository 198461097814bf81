"""Errors that the package `search_space` raises on purpose."""

from __future__ import annotations


class SearchSpaceError(Exception):
    """Base of all errors about search spaces and models."""


class InvalidConfigurationError(SearchSpaceError, ValueError):
    """A configuration does not name a network that can be built."""


class EmptySpaceError(SearchSpaceError, ValueError):
    """The settings describe a space in which no configuration is valid."""
