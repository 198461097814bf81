"""The search as a pure state machine: events in, actions out. No clock, no I/O, no threads.

`SearchState` decides; the coordinator performs. Every rule about retries, concurrency and ending
is here, so each can be tested with a list of events and an equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never

from results.trial import FailureKind, TrialOutcome, TrialRequest

EndState: TypeAlias = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """So many trials can run at once now; workers come and go."""

    n_slots: int


@dataclass(frozen=True, slots=True)
class Reissued:
    """A trial that was in flight when the last coordinator ended."""

    request: TrialRequest


@dataclass(frozen=True, slots=True)
class Suggested:
    """The optimizer proposed a trial."""

    request: TrialRequest


@dataclass(frozen=True, slots=True)
class Recalled:
    """Trials that still waited for a worker and were taken back; a resumed run goes on there."""

    trial_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A worker returned, or the cluster reported its worker lost."""

    outcome: TrialOutcome


@dataclass(frozen=True, slots=True)
class StopRequested:
    """A limit is reached or an operator asks; trials that run may finish, others are recalled."""

    reason: str
    end: EndState = "finished"


@dataclass(frozen=True, slots=True)
class Exhausted:
    """There is nothing to suggest.

    Attributes:
        stop: The limit that is reached; None when the optimizer has nothing to propose before
            another result, and for good when no trial runs.
        reason: Why the optimizer has nothing, where it is not that all was proposed.
    """

    stop: StopRequested | None = None
    reason: str = ""


Event: TypeAlias = (
    SlotsChanged | Reissued | Suggested | Exhausted | Finished | Recalled | StopRequested
)


@dataclass(frozen=True, slots=True)
class Suggest:
    """Ask the optimizer for one more trial."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Send a trial to the cluster."""

    request: TrialRequest


@dataclass(frozen=True, slots=True)
class Record:
    """Append the outcome to the log, then tell the optimizer. In that order."""

    outcome: TrialOutcome


@dataclass(frozen=True, slots=True)
class RecordLoss:
    """Append to the log that an attempt came to nothing; its trial is not over."""

    outcome: TrialOutcome


@dataclass(frozen=True, slots=True)
class Recall:
    """Take back the trials that wait for a worker, and answer with `Recalled`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is running and nothing more will be asked."""

    reason: str
    end: EndState


Action: TypeAlias = Suggest | Submit | Record | RecordLoss | Recall | Close


@dataclass(slots=True, kw_only=True)
class SearchState:
    """Mutable only through `handle`.

    Attributes:
        max_attempts: Tries of one trial whose worker is lost or cannot read the data, the first
            included.
        n_asked: Trials ever proposed; with `max_trials` it bounds what is asked, so that a limit
            of 30 gives 30 results and not 30 plus what was in flight.
        running: Trials with the cluster, by trial id.
        is_draining: A stop was requested: what is not running any more stays in flight in the log,
            for a resumed run.
        is_suggesting: A `Suggest` is out and not answered yet.
        is_exhausted: The optimizer had nothing to propose, and no trial has ended since it was
            asked.
        why_exhausted: Why it had nothing, where it is not that all was proposed.
        is_closed: `Close` was returned; whatever happens later changes nothing any more.
    """

    max_attempts: int
    max_trials: int | None = None
    n_asked: int = 0
    n_slots: int = 0
    running: dict[str, TrialRequest] = field(default_factory=dict)
    stopping: StopRequested | None = None
    is_draining: bool = False
    is_suggesting: bool = False
    is_exhausted: bool = False
    why_exhausted: str = ""
    is_closed: bool = False
    _n_ended: int = 0
    _n_ended_when_asked: int = 0

    def handle(self, event: Event) -> list[Action]:
        """Apply one event and return what must be done because of it, in order.

        Every `Suggest` must be answered by one `Suggested` or `Exhausted`, also after a stop was
        requested: a proposal that was made is trained, and nothing closes before the answer.
        After an `Exhausted` without a limit the next `Suggest` comes when a trial has ended, for
        its result may justify a promotion; with nothing running it is the end.
        """
        return [] if self.is_closed else self._apply(event)

    def _apply(self, event: Event) -> list[Action]:
        actions: list[Action] = []
        match event:
            case SlotsChanged(n_slots):
                self.n_slots = n_slots
            case Reissued(request):
                return self._start(request)
            case Suggested(request):
                self.n_asked += 1
                self.is_suggesting = False
                actions = self._start(request)
            case Exhausted(stop, reason):
                self.is_suggesting, self.why_exhausted = False, reason
                self.is_exhausted = self._n_ended == self._n_ended_when_asked
                actions = self._stop(stop) if stop else []
            case Finished(outcome):
                return self._finish(outcome)
            case Recalled(trial_ids):
                self._leave_in_flight(trial_ids)
            case StopRequested():
                actions = self._stop(event)
            case _:
                assert_never(event)
        return [*actions, *self._refill()]

    def _start(self, request: TrialRequest) -> list[Action]:
        self.running[request.trial_id] = request
        return [Submit(request)]

    def _finish(self, outcome: TrialOutcome) -> list[Action]:
        request = self.running.get(outcome.trial_id)
        if request is None or request.attempt != outcome.attempt:
            return []  # a late answer of an attempt that was already given up
        if self._is_tried_again(outcome, request):
            loss = RecordLoss(outcome)
            if not self.is_draining:
                return [loss, *self._start(replace(request, attempt=request.attempt + 1))]
            self._leave_in_flight((outcome.trial_id,))
            return [loss, *self._refill()]
        del self.running[outcome.trial_id]
        self._n_ended, self.is_exhausted = self._n_ended + 1, False
        return [Record(outcome), *self._refill()]

    def _is_tried_again(self, outcome: TrialOutcome, request: TrialRequest) -> bool:
        """Whether a failure says more of its worker than of the configuration.

        Data that cannot be read on one worker may well be on another, so there has to be one.
        """
        if request.attempt >= self.max_attempts:
            return False
        is_elsewhere = outcome.failure is FailureKind.DATA_ERROR and self.n_slots > 1
        return outcome.failure is FailureKind.WORKER_LOST or is_elsewhere

    def _stop(self, stop: StopRequested) -> list[Action]:
        is_first, self.is_draining = not self.is_draining, True
        self.stopping = self.stopping or stop
        return [Recall()] if is_first and self.running else []

    def _leave_in_flight(self, trial_ids: tuple[str, ...]) -> None:
        for trial_id in trial_ids:
            del self.running[trial_id]

    def _refill(self) -> list[Action]:
        """One suggestion at a time: the next one after the answer."""
        if self.is_suggesting:
            return []
        end = self.stopping or self._limit_of_trials() or self._end_of_space()
        if end is None:
            return self._suggest()
        self.is_closed = not self.running
        return [Close(end.reason, end.end)] if self.is_closed else []

    def _suggest(self) -> list[Action]:
        if self.is_exhausted or len(self.running) >= self.n_slots:
            return []
        self.is_suggesting, self._n_ended_when_asked = True, self._n_ended
        return [Suggest()]

    def _limit_of_trials(self) -> StopRequested | None:
        if self.max_trials is None or self.n_asked < self.max_trials:
            return None
        return StopRequested(f"{self.max_trials} trials are done")

    def _end_of_space(self) -> StopRequested | None:
        if self.running or not self.is_exhausted:
            return None
        if self.why_exhausted:
            # Without a single trial a search has not done what it was started for.
            return StopRequested(self.why_exhausted, "finished" if self.n_asked else "failed")
        return StopRequested("the space holds nothing more to propose")
