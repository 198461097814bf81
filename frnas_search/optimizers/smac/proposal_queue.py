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

    from frnas_search.optimizers.smac.history import History, Moment, Snapshot
    from results.pareto import FloatArray

Propose: TypeAlias = "Callable[[Snapshot], FloatArray | None]"

_TRIALS_FOR_EACH = 8
_MOST_AHEAD = 16


@dataclass(slots=True, eq=False)
class _Job:
    """A configuration to be made from one moment and from those that were begun before it."""

    moment: Moment
    before: tuple[_Job, ...]
    future: Future[FloatArray | None] | None = None
    vector: FloatArray | None = None
    is_known: bool = False


@dataclass(slots=True, kw_only=True)
class ProposalQueue:
    """A queue of new configurations, one for every eight trials in flight besides the first.

    With one worker a configuration is made when it is asked for, from everything that is known:
    what was made while the worker was busy would not know its result.
    """

    history: History
    propose: Propose
    _queue: deque[_Job] = field(default_factory=deque)
    _thread: ThreadPoolExecutor | None = None

    def next(self) -> FloatArray | None:
        """The next configuration; asking again without `taken` gives the same."""
        self._start()
        job = self._head()
        if job is None:
            return self.propose(self.history.at(self.history.now()))
        return self._result(job)

    def taken(self, vector: FloatArray) -> None:
        """It was handed out, and the history already knows it."""
        if self._queue and self.history.n_pending > 0:
            job = self._queue.popleft()
            job.vector, job.is_known, job.before = vector, True, ()
        else:
            self._queue.clear()

    def changed(self) -> None:
        """Something was asked or told: begin as many as are wanted now."""
        n_others = max(0, self.history.n_pending - 1)
        wanted = min(_MOST_AHEAD, math.ceil(n_others / _TRIALS_FOR_EACH))
        while len(self._queue) < wanted:
            job = _Job(self.history.now(), tuple(self._queue))
            self._queue.append(job)
            self._submit(job)

    def close(self) -> None:
        """End the thread; what it is making is thrown away."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    def _head(self) -> _Job | None:
        return self._queue[0] if self._queue and self.history.n_pending > 0 else None

    def _start(self) -> None:
        """Nothing is made during a replay; what is still wanted afterwards is begun now."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="proposals")
            for job in self._queue:
                self._submit(job)

    def _submit(self, job: _Job) -> None:
        if self._thread is not None:
            job.future = self._thread.submit(self._make, job)

    def _make(self, job: _Job) -> FloatArray | None:
        known = self.history.at(job.moment)
        made = [
            earlier.vector if earlier.is_known else self._result(earlier) for earlier in job.before
        ]
        if any(vector is None for vector in made):
            return None  # nothing was left before this one either
        return self.propose(known.with_more([vector for vector in made if vector is not None]))

    def _result(self, job: _Job) -> FloatArray | None:
        if not job.is_known:
            job.vector = job.future.result() if job.future is not None else self._make(job)
            job.is_known, job.before = True, ()
        return job.vector
