"""What the coordinator needs of an executor: hand it jobs, collect what became of them.

Declares the protocol and an executor without any cluster, for tests and for looking into a trial.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from frnas_search.coordinator.state import Finished, SlotsChanged
from results.trial import FailureKind, Fault, TrialOutcome, failed_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.settings import TrialJob
    from workers.trials.messages import Heartbeat, Hello


@dataclass(frozen=True, slots=True)
class Heard:
    """A trial that runs has said how far it is. Nothing is decided by it."""

    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFound:
    """A worker has shown that it is fit, or that it is not.

    Attributes:
        worker: Its address.
        hello: What it has shown.
        is_news: Whether this is another answer than its last one.
    """

    worker: str
    hello: Hello
    is_news: bool = True


ExecutorEvent: TypeAlias = SlotsChanged | Finished | Heard | WorkerFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """Who is there, for people to read.

    Attributes:
        n_workers: Workers that take trials.
        n_busy: Of these, how many run one.
        waiting_for: What is missing, in words with the remedy; empty when nothing is.
        idle: Workers that get no trials, and why not, in words.
        trials: What the trials that run have said last, with the seconds since then.
    """

    n_workers: int
    n_busy: int
    waiting_for: str = ""
    idle: Mapping[str, str] = field(default_factory=dict)
    trials: tuple[tuple[Heartbeat, float], ...] = ()


class Executor(Protocol):
    """Runs jobs on workers that come and go.

    Rules that every implementation keeps:

    * One caller. All methods are called from one thread.
    * Every job that was submitted leads to exactly one `Finished`, unless the executor is closed
      before. A worker that is lost is a `Finished` with the failure `worker_lost`.
    * More jobs than workers wait for a free one; none is refused.
    * Nothing is retried here; that is the state machine's to decide.
    * A worker gets a job only when it is fit for it; one that is not costs no trial an attempt.
    """

    def submit(self, job: TrialJob) -> None:
        """Hand out a job; returns at once."""

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        """What happened since the last call; waits up to `timeout_seconds` for something.

        The number of slots is reported before the first job is needed and whenever it changes.
        """

    def recall(self) -> tuple[str, ...]:
        """Take back the jobs that wait for a worker; their trial ids.

        There is no `Finished` for them.
        """

    def suspend(self) -> None:
        """Ask all that runs to save itself and end; returns at once.

        Each trial leads to its `Finished` all the same, most with `worker_lost`.
        """

    def bench(self, worker: str, reason: str) -> None:
        """Give this worker no more jobs; what it runs may end."""

    def attendance(self) -> Attendance:
        """Who is there, as of the last `next_events`."""

    def close(self) -> None:
        """Give up what is running. Twice is fine."""


class InlineExecutor:
    """Runs one job at a time, here and now, whenever events are asked for."""

    def __init__(self, run: Callable[[TrialJob], TrialOutcome], *, n_slots: int = 1) -> None:
        self._run = run
        self._n_slots = n_slots
        self._jobs: deque[TrialJob] = deque()
        self._has_reported_slots = False
        self._suspended: deque[TrialJob] = deque()

    def submit(self, job: TrialJob) -> None:
        """Put the job at the end of the line."""
        self._jobs.append(job)

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:  # noqa: ARG002
        """Run the job that has waited longest; never waits."""
        events: list[ExecutorEvent] = []
        if not self._has_reported_slots:
            self._has_reported_slots = True
            events.append(SlotsChanged(self._n_slots))
        events += [Finished(_given_back(job)) for job in self._suspended]
        self._suspended.clear()
        if self._jobs:
            events.append(Finished(self._run(self._jobs.popleft())))
        return events

    def recall(self) -> tuple[str, ...]:
        """All but as many as there are slots: those would run by now."""
        waiting = tuple(job.request.trial_id for job in list(self._jobs)[self._n_slots :])
        self._jobs = deque(list(self._jobs)[: self._n_slots])
        return waiting

    def suspend(self) -> None:
        """Give back the jobs; none has begun when anybody can ask."""
        self._suspended, self._jobs = self._jobs, deque()

    def bench(self, worker: str, reason: str) -> None:
        """Nothing: there is no other place."""

    def attendance(self) -> Attendance:
        """As many workers as slots."""
        n_jobs = len(self._jobs) + len(self._suspended)
        return Attendance(n_workers=self._n_slots, n_busy=min(n_jobs, self._n_slots))

    def close(self) -> None:
        """Forget the jobs that wait."""
        self._jobs.clear()
        self._suspended.clear()


def _given_back(job: TrialJob) -> TrialOutcome:
    detail = "told to end before it began"
    return failed_attempt(job.request, FailureKind.WORKER_LOST, detail, fault=Fault.CLUSTER)
