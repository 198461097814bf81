"""New configurations made ahead of need, by a thread in the background.

What is made depends on when each was begun, counted in asks and tells and never in seconds: the
n-th configuration is made from what was known at one definite event. So a search that is replayed
makes the same ones, however fast its machine is.
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from ConfigSpace import Configuration

    from frnas_search.optimizers.smac.past import Past

Propose: TypeAlias = "Callable[[Past], Configuration | None]"

_TRIALS_FOR_EACH = 8
_MOST_AHEAD = 16


@dataclass(slots=True, eq=False)
class _Job:
    """A configuration to be made from one moment and from those that were begun before it."""

    moment: Past
    before: tuple[_Job, ...]
    future: Future[Configuration | None] | None = None
    made: Configuration | None = None
    is_known: bool = False


@dataclass(slots=True, kw_only=True)
class ProposalQueue:
    """A queue of new configurations, one for every eight trials in flight besides the first.

    With one worker a configuration is made when it is asked for, from everything that is known:
    what was made while the worker was busy would not know its result. All are made on one thread,
    as SMAC's models, functions and maximizers hold state while they work.

    Attributes:
        propose: Makes a configuration; None when none is left.
        now: The present moment.
        n_in_flight: How many trials were asked and not told.
    """

    propose: Propose
    now: Callable[[], Past]
    n_in_flight: Callable[[], int]
    _queue: deque[_Job] = field(default_factory=deque)
    _thread: ThreadPoolExecutor | None = None

    def next(self) -> Configuration | None:
        """The next configuration, which is the caller's from now on; None changes nothing."""
        thread = self._started()
        if self._queue and self.n_in_flight() > 0:
            made = self._result(self._queue[0])
            if made is not None:
                self._queue.popleft()
            return made
        made = thread.submit(self.propose, self.now()).result()
        if made is not None:
            self._queue.clear()
        return made

    def taken(self, configuration: Configuration) -> None:
        """One was handed out by a log, and the history already knows it: as `next` would."""
        if self._queue and self.n_in_flight() > 1:
            job = self._queue.popleft()
            job.made, job.is_known, job.before = configuration, True, ()
        else:
            self._queue.clear()

    def changed(self) -> None:
        """Something was asked or told: begin as many as are wanted now."""
        n_others = max(0, self.n_in_flight() - 1)
        wanted = min(_MOST_AHEAD, math.ceil(n_others / _TRIALS_FOR_EACH))
        while len(self._queue) < wanted:
            job = _Job(self.now(), tuple(self._queue))
            self._queue.append(job)
            self._submit(job)

    def close(self) -> None:
        """End the thread; what it is making is thrown away."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    def _started(self) -> ThreadPoolExecutor:
        """Nothing is made during a replay; what is still wanted afterwards is begun now."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="proposals")
            for job in self._queue:
                self._submit(job)
        return self._thread

    def _submit(self, job: _Job) -> None:
        if self._thread is not None:
            job.future = self._thread.submit(self._make, job)

    def _make(self, job: _Job) -> Configuration | None:
        made = [
            earlier.made if earlier.is_known else self._result(earlier) for earlier in job.before
        ]
        if any(configuration is None for configuration in made):
            return None  # nothing was left before this one either
        return self.propose(job.moment.with_planned([each for each in made if each is not None]))

    def _result(self, job: _Job) -> Configuration | None:
        if not job.is_known:
            assert job.future is not None, "submitted when the thread was started"
            job.made = job.future.result()
            job.is_known, job.before = True, ()
        return job.made
