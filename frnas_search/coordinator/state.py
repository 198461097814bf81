"""The search as a pure state machine: events in, actions out. No clock, no I/O, no threads.

`SearchState` decides; the coordinator performs. Every rule about retries, concurrency and ending
is here, so each can be tested with a list of events and an equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never

from frnas_search.coordinator.judgement import Bench, Judgement, is_certain, shortened
from results.trial import Fault, TrialOutcome, TrialRequest

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
    """A worker returned, or the cluster reported its worker lost.

    Attributes:
        progressed: Whether an attempt that came to nothing left a later checkpoint than the one
            that it began with.
    """

    outcome: TrialOutcome
    progressed: bool = False


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
    progressed: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Append to the log that a trial is not tried any more; a resumed run hands it out again."""

    outcome: TrialOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class Recall:
    """Take back the trials that wait for a worker, and answer with `Recalled`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is running and nothing more will be asked."""

    reason: str
    end: EndState


Action: TypeAlias = Suggest | Submit | Record | RecordLoss | GiveUp | Bench | Recall | Close


@dataclass(slots=True, kw_only=True)
class SearchState:
    """Mutable only through `handle`.

    Attributes:
        max_attempts: Tries of one trial that come to nothing, one after the other and without a
            later checkpoint, before it is given up; those that the cluster as a whole lost do
            not count.
        n_asked: Trials ever proposed; with `max_trials` it bounds what is asked, so that a limit
            of 30 gives 30 results and not 30 plus what was in flight.
        running: Trials with the cluster, by trial id.
        suspended: Trials that failed often enough, with the last outcome; whether it was of their
            own doing is told by what their workers do next.
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
    suspended: dict[str, tuple[TrialRequest, TrialOutcome]] = field(default_factory=dict)
    judgement: Judgement = field(default_factory=Judgement)
    stopping: StopRequested | None = None
    is_draining: bool = False
    is_suggesting: bool = False
    is_exhausted: bool = False
    why_exhausted: str = ""
    is_closed: bool = False
    _n_ended: int = 0
    _n_ended_when_asked: int = 0
    _n_barren: dict[str, int] = field(default_factory=dict)

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
            case Finished():
                return self._finish(event)
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

    def _finish(self, event: Finished) -> list[Action]:
        outcome = event.outcome
        request = self.running.get(outcome.trial_id)
        if request is None or request.attempt != outcome.attempt:
            return []  # a late answer of an attempt that was already given up
        if is_certain(outcome):
            del self.running[outcome.trial_id]
            return [*self._record(outcome), *self._weigh(outcome), *self._judge(), *self._refill()]
        benched = self.judgement.failed(outcome)
        return [*self._lose(request, event), *benched, *self._judge(), *self._refill()]

    def _weigh(self, outcome: TrialOutcome) -> list[Bench]:
        """What the certain end of a trial says of those who had it."""
        if outcome.costs is not None:
            return self.judgement.done(outcome.trial_id, outcome.worker)
        self.judgement.convicted(outcome.trial_id)
        return []

    def _record(self, outcome: TrialOutcome) -> list[Action]:
        self._n_ended, self.is_exhausted = self._n_ended + 1, False
        self._n_barren.pop(outcome.trial_id, None)
        return [Record(outcome)]

    def _lose(self, request: TrialRequest, event: Finished) -> list[Action]:
        """What becomes of a trial whose attempt came to nothing."""
        outcome, trial_id = event.outcome, request.trial_id
        del self.running[trial_id]
        loss = RecordLoss(outcome, event.progressed)
        if outcome.blamed is None:
            again = self._is_tried_for_certainty(trial_id)
            if not again:
                self.suspended[trial_id] = (request, outcome)
                return [loss]
        elif not self._is_worth_another_try(event):
            reason = f"{self._n_barren[trial_id]} attempts without progress, the last: "
            return [loss, GiveUp(outcome, reason + shortened(outcome.detail))]
        return [loss, *self._again(request)]

    def _again(self, request: TrialRequest) -> list[Action]:
        """One more attempt; when the search ends, that is for a resumed run to make."""
        if self.is_draining:
            return []
        return self._start(replace(request, attempt=request.attempt + 1))

    def _is_tried_for_certainty(self, trial_id: str) -> bool:
        """Whether another try may tell more of what crashes than waiting for other trials."""
        if self.judgement.is_guilty(trial_id):
            return False
        n_tries, n_places = (
            self.judgement.n_suspicions(trial_id),
            self.judgement.n_places(trial_id),
        )
        return n_tries < 2 or (n_places > 1 and n_tries < self.max_attempts)

    def _is_worth_another_try(self, event: Finished) -> bool:
        trial_id = event.outcome.trial_id
        if event.outcome.blamed in (Fault.CLUSTER, Fault.USER):
            return True
        self._n_barren[trial_id] = 0 if event.progressed else self._n_barren.get(trial_id, 0) + 1
        return self._n_barren[trial_id] < self.max_attempts

    def _judge(self) -> list[Action]:
        """What of suspended trials is certain by now; again where a worker was to blame."""
        actions: list[Action] = []
        for trial_id, (request, outcome) in list(self.suspended.items()):
            if self.judgement.is_guilty(trial_id):
                del self.suspended[trial_id]
                self.judgement.convicted(trial_id)
                actions += self._record(replace(outcome, fault=Fault.CONFIGURATION))
            elif self._is_tried_for_certainty(trial_id) and not self.is_draining:
                del self.suspended[trial_id]
                actions += self._again(request)
        return actions

    def _give_up_suspended(self) -> list[Action]:
        """At the end: of what is still suspended nobody knows why it failed."""
        given_up: list[Action] = [
            GiveUp(outcome, f"it is not certain why it failed: {shortened(outcome.detail)}")
            for _, outcome in self.suspended.values()
        ]
        self.suspended.clear()
        return given_up

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
        return [*self._give_up_suspended(), Close(end.reason, end.end)] if self.is_closed else []

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
