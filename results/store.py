"""The event log's contract, and a store in memory that keeps it."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from results.events import Event, LoggedEvent


class EventStore(Protocol):
    """An append-only log of one run.

    Rules that every implementation keeps:

    * One writer. A run has at most one open store that appends (`results.lock` sees to it);
      within that process any thread may append. Readers are as many as like.
    * Durable. When `append` returns, the event survives a kill of the process and a loss of
      power. When it raises, the event is not in the log and nothing else has changed.
    * Ordered. Sequences start at 1 and rise by 1 in the order of appending. Nothing is ever
      changed or removed, so what was read once reads the same for ever.
    * Whole. A reader sees a prefix of the log, never half an event.
    """

    def append(self, event: Event, *, time: str, elapsed_seconds: float | None = None) -> int:
        """Add an event and return its sequence, once it is durable.

        Args:
            event: What happened.
            time: UTC, ISO 8601 with a Z; the store has no clock.
            elapsed_seconds: Since the log was opened, by a clock that only rises; None where
                nobody counts.

        Raises:
            LogError: The log cannot be written.
        """
        ...

    def read(self, *, after: int = 0, up_to: int | None = None) -> list[LoggedEvent]:
        """The events with after < sequence <= up_to, in order; `up_to` None means to the end.

        Raises:
            LogError: The log cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of the log; appending or reading afterwards is a mistake. Twice is fine."""
        ...


class InMemoryStore:
    """An `EventStore` for tests and dry runs: durable for as long as the object lives."""

    def __init__(self) -> None:
        self._events: list[LoggedEvent] = []
        self._lock = Lock()

    def append(self, event: Event, *, time: str, elapsed_seconds: float | None = None) -> int:
        """Add an event and return its sequence."""
        with self._lock:
            sequence = len(self._events) + 1
            logged = LoggedEvent(
                sequence=sequence, time=time, event=event, elapsed_seconds=elapsed_seconds
            )
            self._events.append(logged)
        return sequence

    def read(self, *, after: int = 0, up_to: int | None = None) -> list[LoggedEvent]:
        """The events with after < sequence <= up_to, in order."""
        return self._events[after:up_to]

    def close(self) -> None:
        """Nothing to let go of."""
