"""A clock that trials move: when each begins and ends, had it taken the time that is drawn for it.

Pure: a function of a seed and of the order in which trials enter and leave. It knows nothing of
workers and of how long anything takes in truth.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from results.events import Asked, LoggedEvent, Told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from results.trial import TrialRequest

# Of the logarithm of the time for an epoch: one trial in six takes 1.6 times the median or more.
_SPREAD = 0.5


def virtual_duration(request: TrialRequest, *, n_new_epochs: int, seed: int) -> float:
    """What a trial takes, the median epoch being 1; log-normal, the same for every attempt."""
    seeds = np.random.SeedSequence((seed, *request.trial_id.encode()))
    return float(n_new_epochs * np.random.default_rng(seeds).lognormal(0.0, _SPREAD))


@dataclass(slots=True, kw_only=True)
class VirtualClock:
    """A fixed number of slots, and which trial of those that hold one ends next.

    Attributes:
        n_slots: Trials that run at once; more wait in the order in which they entered.
        seed: Of all durations.
        now: The end of the last trial that left.
    """

    n_slots: int
    seed: int
    now: float = 0.0
    _n_entered: int = 0
    _ends: dict[str, tuple[float, int]] = field(default_factory=dict)
    _waiting: deque[TrialRequest] = field(default_factory=deque)
    _epochs_of: dict[str, int] = field(default_factory=dict)

    def enter(self, request: TrialRequest) -> bool:
        """Give the trial a slot from now on, or let it wait for one.

        A trial that is inside already, as one that is tried again, stays as it is.

        Returns:
            Whether it has a slot.
        """
        if self._holds(request):
            return request.trial_id in self._ends
        self._waiting.append(request)
        return any(started.trial_id == request.trial_id for started in self._start_waiting())

    def next_to_end(self) -> str | None:
        """The trial with the earliest end, of equal ones the one that began first."""
        return min(self._ends, key=self._ends.__getitem__, default=None)

    def leave(self, trial_id: str) -> list[TrialRequest]:
        """Move on to the trial's end and free its slot.

        Returns:
            Trials that waited and take a slot now.
        """
        if trial_id in self._ends:
            self.now = max(self.now, self._ends.pop(trial_id)[0])
        else:
            self._forget({trial_id})
        return self._start_waiting()

    def recall(self) -> tuple[str, ...]:
        """Take out the trials that wait for a slot."""
        recalled = tuple(request.trial_id for request in self._waiting)
        self._forget(set(recalled))
        return recalled

    def take_out(self, trial_ids: Iterable[str]) -> None:
        """Forget trials that hold a slot; no time passes, and no slot is given to another."""
        for trial_id in trial_ids:
            self._ends.pop(trial_id, None)

    def _holds(self, request: TrialRequest) -> bool:
        waiting = (queued.trial_id for queued in self._waiting)
        return request.trial_id in self._ends or request.trial_id in waiting

    def _forget(self, trial_ids: set[str]) -> None:
        self._waiting = deque(
            queued for queued in self._waiting if queued.trial_id not in trial_ids
        )

    def _start_waiting(self) -> list[TrialRequest]:
        started = []
        while self._waiting and len(self._ends) < self.n_slots:
            started.append(self._waiting.popleft())
            self._start(started[-1])
        return started

    def _start(self, request: TrialRequest) -> None:
        n_before = self._epochs_of.get(request.config_id, 0)
        self._epochs_of[request.config_id] = max(n_before, request.epochs)
        n_new = max(1, request.epochs - n_before)
        duration = virtual_duration(request, n_new_epochs=n_new, seed=self.seed)
        self._n_entered += 1
        self._ends[request.trial_id] = (self.now + duration, self._n_entered)


def clock_of_log(log: Iterable[LoggedEvent], *, n_slots: int, seed: int) -> VirtualClock:
    """The clock as it stood at the log's last event, with what was in flight inside."""
    clock = VirtualClock(n_slots=n_slots, seed=seed)
    for logged in log:
        if isinstance(logged.event, Asked):
            clock.enter(logged.event.request)
        elif isinstance(logged.event, Told):
            clock.leave(logged.event.outcome.trial_id)
    return clock
