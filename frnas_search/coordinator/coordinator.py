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
from typing import TYPE_CHECKING, Literal, Protocol, assert_never

from frnas_search.coordinator.executor import Heard, WorkerFound
from frnas_search.coordinator.failure_limits import (
    FailureLimits,
    grouped_reasons,
    too_many_failures,
)
from frnas_search.coordinator.judgement import Bench
from frnas_search.coordinator.limits import Limits, Spent, reached
from frnas_search.coordinator.optimizer import proposal_of, why_nothing
from frnas_search.coordinator.reception import Reception
from frnas_search.coordinator.reports import EpochReports
from frnas_search.coordinator.requests import RequestFactory
from frnas_search.coordinator.state import (
    Action,
    Close,
    EndState,
    Event,
    Exhausted,
    Finished,
    GiveUp,
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

    from frnas_search.coordinator.executor import Attendance, Executor, ExecutorEvent
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
    """How often an operator has asked to stop; set from a signal handler, read by the loop.

    Attributes:
        is_urgent: Trials are to save themselves now, for whoever asks will not wait for their end.
    """

    n_requests: int = 0
    reason: str = "stopped by the operator"
    is_urgent: bool = False

    def request(self, *, urgently: bool = False) -> None:
        """Ask once more: the first lets running trials end or save themselves, the second not."""
        self.n_requests += 1
        self.is_urgent = self.is_urgent or urgently


@dataclass(slots=True, kw_only=True)
class Coordinator:
    """Everything one search needs, connected by `frnas_search.launch.wiring`.

    Attributes:
        view: As of the log's last event.
        make_job: Request -> job.
        utc_now: ISO 8601 with a Z.
        clock: Seconds since the log was opened, that only rise.
        reception: Looks whether what trials leave is there.
    """

    state: SearchState
    optimizer: Optimizer
    executor: Executor
    store: EventStore
    view: RunView
    requests: RequestFactory
    reception: Reception
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
    _waiting_for: str = ""
    _reports: EpochReports = field(default_factory=EpochReports)

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
            self._hear(self.executor.next_events(_TICK_SECONDS))
            self._look_at_signals()
            self._check_limits()
            self._tick()
        return self._end

    def _hear(self, reported: Iterable[ExecutorEvent]) -> None:
        """Let everything that the executor reports pass on, what counts to the state machine."""
        for event in reported:
            match event:
                case Heard(heartbeat):
                    self._reports.take(heartbeat)
                case WorkerFound():
                    self._note_worker(event)
                case Finished(outcome):
                    trial = self.view.trials.get(outcome.trial_id)
                    if trial is not None:
                        config_id = trial.request.config_id
                        self._handle(self.reception.answered(config_id, event))
                case _:
                    self._handle(event)

    def _note_worker(self, event: WorkerFound) -> None:
        """Log what a worker has shown where it makes a difference to who works."""
        hello = event.hello
        if not event.is_news or self._end is not None:
            return
        if hello.unfit:
            logger.warning("worker %s gets no trials: %s", event.worker, hello.unfit)
            self._judge(event.worker, "unfit", hello.unfit)
            return
        logger.info(
            "worker %s is fit: frnas %s, torch %s, %s, %.1f GB free",
            event.worker,
            hello.versions.get("frnas", "?"),
            hello.versions.get("torch", "?"),
            hello.device,
            hello.memory_bytes / 1e9,
        )
        judged = self.view.judged.get(event.worker)
        if judged is not None and judged.verdict != "fit":
            self._judge(event.worker, "fit", "")

    def _judge(self, worker: str, verdict: Literal["fit", "unfit", "benched"], why: str) -> None:
        self.log(events.WorkerJudged(worker=worker, verdict=verdict, reason=why))

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
            case RecordLoss() | GiveUp() | Bench():
                self._note_failure(action)
            case Recall():
                return [self._recall()]
            case Close(reason, end):
                self._close(reason, end)
            case _:
                assert_never(action)
        return []

    def _note_failure(self, action: RecordLoss | GiveUp | Bench) -> None:
        """Write down what came to nothing; the optimizer hears nothing of it."""
        match action:
            case RecordLoss(outcome, progressed):
                self._log_reports(outcome.trial_id)
                self.log(events.AttemptLost(outcome=outcome, progressed=progressed))
            case GiveUp(outcome, reason):
                self._give_up(outcome, reason)
            case Bench(worker, reason):
                self._bench(worker, reason)

    def _suggest(self) -> Event:
        # Asked for one result at a time, so that a limit is never passed by more than what runs.
        stop = self._limit()
        if stop is not None:
            self.log(events.StopRequested(reason=stop.reason))
            return Exhausted(stop)
        proposal = self.optimizer.ask()
        if proposal is None:
            return Exhausted(reason=why_nothing(self.optimizer))
        request = self.requests.next(proposal)
        self.log(events.Asked(request=request))
        return Suggested(request)

    def _recall(self) -> Event:
        trial_ids = self.executor.recall()
        if trial_ids:
            self.log(events.Recalled(trial_ids=trial_ids))
        return Recalled(trial_ids)

    def _submit(self, request: TrialRequest) -> None:
        job = self.reception.sent(self.make_job(request))
        self.log(events.Submitted(trial_id=request.trial_id, attempt=request.attempt))
        self.executor.submit(job)

    def _give_up(self, outcome: TrialOutcome, reason: str) -> None:
        """Nobody knows what the trial failed of, so nobody is told; it counts as a failure."""
        self.log(events.GivenUp(trial_id=outcome.trial_id, reason=reason))
        self._outcomes.append(outcome)

    def _bench(self, worker: str, reason: str) -> None:
        why = f"{reason}; look into its log, mend it and start it again"
        logger.warning("worker %s gets no more trials: %s", worker, why)
        self._judge(worker, "benched", why)
        self.executor.bench(worker, why)

    def _log_reports(self, trial_id: str) -> None:
        """Write down the epochs of which a trial has told, before what becomes of it."""
        for event in self._reports.of(trial_id):
            self.log(event)

    def _record(self, outcome: TrialOutcome) -> None:
        self._log_reports(outcome.trial_id)
        self.log(events.Told(outcome=outcome))
        self._outcomes.append(outcome)
        request = self.view.trials[outcome.trial_id].request
        self.optimizer.tell(proposal_of(request), outcome.costs)

    def _close(self, reason: str, end: EndState) -> None:
        if end == "finished" and (fault := self._what_came_to_nothing()):
            reason, end = f"{reason}, and {fault}", "failed"
        ended = events.Ended(state=end, reason=reason)
        self.log(ended)
        self._end = ended

    def _what_came_to_nothing(self) -> str:
        """Why a search that reached its limit has found nothing; empty where it has."""
        view = self.view
        n_lost = len(view.given_up)
        if view.front() or not view.n_failed + n_lost:
            return ""
        if not view.n_finished:
            told = (trial.outcome for trial in view.trials.values() if trial.outcome)
            return f"every trial failed: {grouped_reasons([*told, *self._given_up()])}"
        if view.n_failed + n_lost <= view.n_finished and not n_lost:
            return ""
        lost = f", {n_lost} of them for no fault of theirs: --resume tries these again"
        return (
            f"{view.why_no_front}: {view.n_failed + n_lost} of {len(view.trials)} trials came to "
            f"nothing{lost if n_lost else ''} ({grouped_reasons(self._outcomes)})"
        )

    def _given_up(self) -> list[TrialOutcome]:
        return [o for o in self._outcomes if o.trial_id in self.view.given_up]

    def _look_at_signals(self) -> None:
        seen, self._stops_seen = self._stops_seen, self.stop_signal.n_requests
        if self._end is not None or seen == self._stops_seen:
            return
        if self._stops_seen >= 2:
            n_running = len(self.state.running)
            words = f"; {n_running} trials in flight go on when the run is resumed"
            self._close(self.stop_signal.reason + (words if n_running else ""), "stopped")
            return
        self._say_how_it_stops()
        if self.stop_signal.is_urgent:
            self.executor.suspend()
        self._request_stop(StopRequested(self.stop_signal.reason, "stopped"))

    def _say_how_it_stops(self) -> None:
        n_running = len(self.state.running)
        if self.stop_signal.is_urgent:
            logger.warning(
                "told to end: the running trials (at most %d) save themselves, and go on from "
                "there when the run is resumed",
                n_running,
            )
            return
        logger.warning(
            "stopping when the running trials (at most %d) are done; Ctrl-C again stops at once, "
            "and they go on from their checkpoints when the run is resumed",
            n_running,
        )

    def _check_limits(self) -> None:
        if self._end is not None or self.state.stopping is not None:
            return
        stop = self._limit()
        if stop is not None:
            self._request_stop(stop)

    def _limit(self) -> StopRequested | None:
        """The limit that is reached, if any."""
        suspended = (outcome for _, outcome in self.state.suspended.values())
        failing = too_many_failures(
            self.failures, [*self._outcomes, *suspended], n_finished=self.view.n_finished
        )
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
        if self._end is None:
            for event in self._reports.all():
                self.log(event)
        attendance = self.executor.attendance()
        for watcher in self.watchers:
            watcher.tick(self.view, attendance)
        if self._end is None:
            self._remind(attendance.waiting_for)

    def _remind(self, waiting_for: str) -> None:
        """Say what is missing, at once and then now and then."""
        is_news = waiting_for != self._waiting_for
        if waiting_for and (is_news or self.clock() >= self._next_reminder):
            logger.warning("waiting: %s", waiting_for)
            self._next_reminder = self.clock() + _REMINDER_SECONDS
            self._waiting_for = waiting_for

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
