"""The search itself: performs what the state machine decides. The only writer of the event log.

One thread, one loop. Every ask and every result is in the log before anything depends on it, and
the optimizer is only ever called in the log's order; so replaying the log into a fresh optimizer
gives the same optimizer.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, assert_never

from frnas_search.coordinator.failure_limits import (
    FailureLimits,
    grouped_reasons,
    too_many_failures,
)
from frnas_search.coordinator.limits import Limits, Spent, reached
from frnas_search.coordinator.optimizer import proposal_of
from frnas_search.coordinator.requests import RequestFactory
from frnas_search.coordinator.state import (
    Action,
    Close,
    EndState,
    Event,
    Exhausted,
    Recall,
    Recalled,
    Record,
    RecordLoss,
    SearchState,
    SlotsChanged,
    StopRequested,
    Submit,
    Suggest,
    Suggested,
)
from results import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from frnas_search.coordinator.executor import Attendance, Executor
    from frnas_search.coordinator.optimizer import Optimizer
    from results.store import EventStore
    from results.trial import TrialOutcome, TrialRequest
    from results.view import RunView
    from workers.settings import TrialJob

logger = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_REMINDER_SECONDS = 60.0


class Watcher(Protocol):
    """Somebody who looks on: the terminal, and the files that are kept up to date."""

    def changed(self, view: RunView, logged: events.LoggedEvent) -> None:
        """One more event is in the log and in the view."""

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """About a second has passed."""


@dataclass(slots=True, kw_only=True)
class StopSignal:
    """How often an operator has asked to stop; set from a signal handler, read by the loop."""

    n_requests: int = 0
    reason: str = "stopped by the operator"

    def request(self) -> None:
        """Ask once more: the first lets running trials end, the second does not."""
        self.n_requests += 1


@dataclass(slots=True, kw_only=True)
class Coordinator:
    """Everything one search needs, connected by `frnas_search.launch.wiring`.

    Attributes:
        view: As of the log's last event.
        make_job: Request -> job.
        utc_now: ISO 8601 with a Z.
        clock: Seconds since the log was opened, that only rise.
    """

    state: SearchState
    optimizer: Optimizer
    executor: Executor
    store: EventStore
    view: RunView
    requests: RequestFactory
    make_job: Callable[[TrialRequest], TrialJob]
    limits: Limits
    watchers: tuple[Watcher, ...]
    stop_signal: StopSignal
    utc_now: Callable[[], str]
    clock: Callable[[], float]
    failures: FailureLimits = field(default_factory=FailureLimits)
    _end: events.Ended | None = None
    _stops_seen: int = 0
    _outcomes: list[TrialOutcome] = field(default_factory=list)
    _next_reminder: float = field(default=0.0)

    def run(self, first: Iterable[Event] = ()) -> events.Ended:
        """Search until the state machine closes it.

        Args:
            first: Events to begin with, such as trials that are handed out again.

        Raises:
            LogError: The log cannot be written. What it holds is intact; the run can be resumed.
        """
        self._look_at_signals()
        self._handle(*first)
        while self._end is None:
            self._handle(*self.executor.next_events(_TICK_SECONDS))
            self._look_at_signals()
            self._check_limits()
            self._tick()
        return self._end

    def _handle(self, *first: Event) -> None:
        """Let the state machine decide on each event and perform all that follows from it."""
        waiting = deque(first)
        while waiting and self._end is None:
            event = waiting.popleft()
            if isinstance(event, SlotsChanged):
                self.log(events.SlotsChanged(n_slots=event.n_slots))
            for action in self.state.handle(event):
                waiting.extend(self._perform(action))

    def _perform(self, action: Action) -> list[Event]:
        """Do one thing; what comes of it at once is the answer."""
        match action:
            case Suggest():
                return [self._suggest()]
            case Submit(request):
                self._submit(request)
            case Record(outcome):
                self._record(outcome)
            case RecordLoss(outcome):
                self.log(events.AttemptLost(outcome=outcome))
            case Recall():
                return [self._recall()]
            case Close(reason, end):
                self._close(reason, end)
            case _:
                assert_never(action)
        return []

    def _suggest(self) -> Event:
        # Asked for one result at a time, so that a limit is never passed by more than what runs.
        stop = self._limit()
        if stop is not None:
            self.log(events.StopRequested(reason=stop.reason))
            return Exhausted(stop)
        proposal = self.optimizer.ask()
        if proposal is None:
            return Exhausted()
        request = self.requests.next(proposal)
        self.log(events.Asked(request=request))
        return Suggested(request)

    def _recall(self) -> Event:
        trial_ids = self.executor.recall()
        if trial_ids:
            self.log(events.Recalled(trial_ids=trial_ids))
        return Recalled(trial_ids)

    def _submit(self, request: TrialRequest) -> None:
        self.log(events.Submitted(trial_id=request.trial_id, attempt=request.attempt))
        self.executor.submit(self.make_job(request))

    def _record(self, outcome: TrialOutcome) -> None:
        self.log(events.Told(outcome=outcome))
        self._outcomes.append(outcome)
        request = self.view.trials[outcome.trial_id].request
        self.optimizer.tell(proposal_of(request), outcome.costs)

    def _close(self, reason: str, end: EndState) -> None:
        if end == "finished" and self.view.n_failed and not self.view.n_finished:
            told = (trial.outcome for trial in self.view.trials.values() if trial.outcome)
            reason, end = f"{reason}, and every trial failed: {grouped_reasons(told)}", "failed"
        ended = events.Ended(state=end, reason=reason)
        self.log(ended)
        self._end = ended

    def _look_at_signals(self) -> None:
        seen, self._stops_seen = self._stops_seen, self.stop_signal.n_requests
        if self._end is not None or seen == self._stops_seen:
            return
        if self._stops_seen >= 2:
            n_running = len(self.state.running)
            words = f"; {n_running} trials in flight go on when the run is resumed"
            self._close(self.stop_signal.reason + (words if n_running else ""), "stopped")
            return
        logger.warning(
            "stopping when the running trials (at most %d) are done; Ctrl-C again stops at once, "
            "and they go on from their checkpoints when the run is resumed",
            len(self.state.running),
        )
        self._request_stop(StopRequested(self.stop_signal.reason, "stopped"))

    def _check_limits(self) -> None:
        if self._end is not None or self.state.stopping is not None:
            return
        stop = self._limit()
        if stop is not None:
            self._request_stop(stop)

    def _limit(self) -> StopRequested | None:
        """The limit that is reached, if any."""
        failing = too_many_failures(self.failures, self._outcomes, n_finished=self.view.n_finished)
        if failing is not None:
            return StopRequested(failing, "failed")
        now = self.utc_now()
        spent = Spent(
            now=datetime.fromisoformat(now),
            epochs=self.view.epochs_spent,
            gpu_seconds=self.view.gpu_seconds,
            wall_seconds=self.view.wall_seconds_at(now, self.clock()),
            trials_since_gain=self.view.trials_since_gain,
            trials_in_flight=self.view.n_may_end_plateau(self.limits.plateau or 0),
        )
        reason = reached(self.limits, spent)
        return None if reason is None else StopRequested(reason)

    def _request_stop(self, event: StopRequested) -> None:
        self.log(events.StopRequested(reason=event.reason))
        self._handle(event)

    def _tick(self) -> None:
        attendance = self.executor.attendance()
        for watcher in self.watchers:
            watcher.tick(self.view, attendance)
        if attendance.waiting_for and self._end is None and self.clock() >= self._next_reminder:
            logger.warning("waiting: %s", attendance.waiting_for)
            self._next_reminder = self.clock() + _REMINDER_SECONDS

    def log(self, event: events.Event) -> None:
        """Append an event to the log, then take it into the view and tell the watchers.

        Raises:
            LogError: The log cannot be written; nothing has changed.
        """
        time, elapsed = self.utc_now(), self.clock()
        sequence = self.store.append(event, time=time, elapsed_seconds=elapsed)
        logged = events.LoggedEvent(
            sequence=sequence, time=time, event=event, elapsed_seconds=elapsed
        )
        self.view.apply(logged)
        for watcher in self.watchers:
            watcher.changed(self.view, logged)
