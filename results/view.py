"""A run as its event log tells it: trials, front, hypervolume, what was spent. Pure.

Applying the same events gives the same view, whether at once or one by one, so the coordinator can
keep one live and a reader can fold one from the log.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, Literal, TypeAlias, assert_never

import numpy as np

from results.errors import LogError
from results.events import (
    Asked,
    AttemptLost,
    Ended,
    Event,
    LimitsChanged,
    LoggedEvent,
    Moment,
    Recalled,
    Resumed,
    Retrained,
    RunOpened,
    SlotsChanged,
    StopRequested,
    Submitted,
    Told,
    WarmStarted,
    storable,
)
from results.hypervolume import hypervolume
from results.ledger import Ledger
from results.objectives import Objective
from results.pareto import FloatArray, dominated_by, dominates_any, non_dominated
from results.trial import FailureKind
from results.trial_record import HypervolumePoint, TrialRecord

RunState: TypeAlias = Literal["running", "finished", "stopped", "failed"]

_StateChange: TypeAlias = RunOpened | WarmStarted | Resumed | LimitsChanged | StopRequested | Ended


@dataclass(slots=True)
class RunView:
    """What is known about a run after the events applied so far; changed only by `apply`.

    Attributes:
        header: The opening event, None before it.
        warm_started: What the run learned from others before it began; None when nothing.
        state: As the log tells it; a log cannot tell that its writer was killed.
        reason: Why the run stops or ended, in words.
        limits: Limits in force, name -> number or None.
        trials: By trial id, in the order they were asked.
        wall_seconds: Seconds that coordinators were at work, all sessions together.
        hypervolume: Of the front at the highest rung, in the product of the objectives' units;
            trials above a `max_cost` add nothing.
        history: One point for each trial that ended, in order.
        ledger: What the time of workers went into, lost attempts included.
        last_sequence: Of the last event applied, 0 before the first.
        updated: That event's time.
    """

    header: RunOpened | None = None
    warm_started: WarmStarted | None = None
    state: RunState = "running"
    reason: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    n_finished: int = 0
    n_failed: int = 0
    failures: Counter[FailureKind] = field(default_factory=Counter)
    wall_seconds: float = 0.0
    hypervolume: float = 0.0
    history: list[HypervolumePoint] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    retrained: list[Retrained] = field(default_factory=list)
    last_sequence: int = 0
    last_event: LoggedEvent | None = None
    updated: str = ""
    _config_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _without_gain: list[int] = field(default_factory=list)
    _front: list[str] = field(default_factory=list)
    _front_costs: FloatArray | None = field(default=None, compare=False)

    @property
    def opened(self) -> RunOpened:
        """The opening event.

        Raises:
            LogError: There is none: the run was created and never started.
        """
        if self.header is None:
            raise LogError("the run's log is empty; it was never started, so start it again")
        return self.header

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is minimised, in the order of the run file."""
        return self.opened.objectives

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs of each rung, rising."""
        return self.opened.rungs

    @property
    def top_rung(self) -> int:
        """The index of the highest fidelity, the only one whose trials enter the front."""
        return len(self.rungs) - 1

    @property
    def max_costs(self) -> Mapping[str, float]:
        """Objective -> the largest cost of what may enter the front."""
        return self.opened.max_costs

    @property
    def why_no_front(self) -> str:
        """Why the front is empty, where it is, in words."""
        if not self.finished_at(self.top_rung):
            return "no trial has finished at the highest rung yet"
        limits = ", ".join(f"{name} {most:g}" for name, most in self.max_costs.items())
        return f"no trial at the highest rung keeps within max_cost ({limits})"

    @property
    def n_running(self) -> int:
        """Trials asked that have not ended."""
        return len(self.trials) - self.n_finished - self.n_failed

    @property
    def epochs_spent(self) -> int:
        """Epochs trained by all trials that ended, and as far as known by lost attempts."""
        return self.ledger.epochs

    @property
    def gpu_seconds(self) -> float:
        """Seconds on devices by all trials that ended and by lost attempts."""
        return self.ledger.seconds

    @property
    def trials_since_gain(self) -> int:
        """Trials that finished at the highest rung since the hypervolume rose."""
        return len(self._without_gain)

    def n_may_end_plateau(self, plateau: int) -> int:
        """Trials in flight at the highest rung that were asked before a plateau was that long.

        Those asked later do not count: with workers that are never idle there always are some.
        """
        if plateau < 1 or len(self._without_gain) < plateau:
            return 0
        reached = self._without_gain[plateau - 1]
        return sum(
            trial.outcome is None
            and trial.request.rung == self.top_rung
            and trial.asked_sequence < reached
            for trial in self.trials.values()
        )

    def apply(self, logged: LoggedEvent) -> None:
        """Take one more event into account; events come in the log's order, each once.

        Raises:
            LogError: The event contradicts those before it; the log is damaged.
        """
        if logged.sequence != self.last_sequence + 1:
            raise LogError(
                f"event {logged.sequence} follows event {self.last_sequence}; "
                "the log has a gap, restore it from a copy"
            )
        self._advance_clock(logged)
        self._require_known(logged.event)
        self.ledger.apply(logged)
        self._take(logged)
        self.last_sequence, self.updated = logged.sequence, logged.time
        self.last_event = logged

    def wall_seconds_at(self, time: str, elapsed_seconds: float | None = None) -> float:
        """Seconds that coordinators have been at work by a moment that is not in the past.

        Args:
            time: ISO 8601.
            elapsed_seconds: By the clock of who writes to the log, where that is who asks.
        """
        if self.state != "running" or self.last_event is None:
            return self.wall_seconds
        now = Moment(time, elapsed_seconds)
        return self.wall_seconds + self.last_event.moment.seconds_until(now)

    def finished_at(self, rung: int) -> list[TrialRecord]:
        """Trials with costs at one rung, in the order they were asked."""
        return [
            trial
            for trial in self.trials.values()
            if trial.costs is not None and trial.request.rung == rung
        ]

    def front(self, rung: int | None = None) -> list[TrialRecord]:
        """The non-dominated trials of one rung, the highest by default.

        Sorted by the first objective, then by the next. Failed trials and those above a
        `max_cost` are never among them.
        """
        if rung is None or rung == self.top_rung:
            trials = [self.trials[trial_id] for trial_id in self._front]
        else:
            finished = [trial for trial in self.finished_at(rung) if self._is_wanted(trial)]
            mask = non_dominated(self.costs_of(finished))
            trials = [trial for trial, keep in zip(finished, mask, strict=True) if keep]
        return sorted(trials, key=self._costs)

    def best(self, objective: str) -> TrialRecord | None:
        """The trial at the highest rung with the least of one objective; None without any."""
        trials = self.finished_at(self.top_rung)
        return min(trials, key=lambda trial: (trial.costs or {})[objective], default=None)

    def gpu_seconds_of(self, config_id: str) -> float:
        """Wall seconds on devices by all of one configuration's trials that ended."""
        return self._config_seconds.get(config_id, 0.0)

    def costs_of(self, trials: Sequence[TrialRecord]) -> FloatArray:
        """Costs of trials that have some, shape (n_trials, n_objectives)."""
        rows = [self._costs(trial) for trial in trials]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.objectives))

    def volume(self, trials: Sequence[TrialRecord]) -> float:
        """The hypervolume of some trials with costs, in the product of the objectives' units."""
        return hypervolume(self.costs_of(trials), self._reference())

    def _take(self, logged: LoggedEvent) -> None:
        event = logged.event
        match event:
            case Asked():
                self._ask(event, logged)
            case Submitted():
                self._submit(event)
            case AttemptLost(outcome=outcome):
                trial = self._known(outcome.trial_id)
                losses = (*trial.losses, storable(outcome))
                self.trials[outcome.trial_id] = replace(trial, losses=losses)
            case Recalled() | SlotsChanged():
                pass  # the ledger's
            case Told():
                self._tell(event, logged)
            case Retrained():
                self.retrained.append(replace(event, outcome=storable(event.outcome)))
            case _:
                self._change_state(event)

    def _change_state(self, event: _StateChange) -> None:
        match event:
            case RunOpened():
                self.header, self.limits = event, event.stop
            case WarmStarted():
                self.warm_started = event
            case Resumed():
                self.state, self.reason = "running", ""
            case LimitsChanged():
                self.limits = event.stop
            case StopRequested():
                self.reason = event.reason
            case Ended():
                self.state, self.reason = event.state, event.reason
            case _:
                assert_never(event)

    def _ask(self, event: Asked, logged: LoggedEvent) -> None:
        request = event.request
        if not 0 <= request.rung <= self.top_rung:
            raise LogError(
                f"event {logged.sequence}: trial {request.trial_id} has rung {request.rung} and "
                f"the run has {len(self.rungs)}; the log is damaged, restore it from a copy"
            )
        trial = TrialRecord(
            request=request, asked_sequence=logged.sequence, asked_time=logged.time
        )
        self.trials.setdefault(request.trial_id, trial)

    def _submit(self, event: Submitted) -> None:
        trial = self._known(event.trial_id)
        self.trials[event.trial_id] = replace(
            trial,
            attempts=max(trial.attempts, event.attempt),
            worker=event.worker or trial.worker,
        )

    def _tell(self, event: Told, logged: LoggedEvent) -> None:
        trial = self._known(event.outcome.trial_id)
        if trial.outcome is not None:
            return  # a second answer, as after a lost connection: the first one counts
        outcome = storable(event.outcome)
        trial = replace(
            trial,
            outcome=outcome,
            attempts=max(trial.attempts, outcome.attempt),
            worker=outcome.worker or trial.worker,
            told_sequence=logged.sequence,
            told_time=logged.time,
        )
        self.trials[outcome.trial_id] = trial
        self._config_seconds[trial.request.config_id] += outcome.seconds
        self._count(trial, logged.sequence)
        front = tuple(self._front)
        if self.history and self.history[-1].front == front:
            front = self.history[-1].front  # one tuple for as long as it lasts
        self.history.append(
            HypervolumePoint(
                sequence=logged.sequence,
                epochs_spent=self.epochs_spent,
                hypervolume=self.hypervolume,
                time=logged.time,
                gpu_seconds=self.gpu_seconds,
                front=front,
            )
        )

    def _count(self, trial: TrialRecord, sequence: int) -> None:
        if trial.failure is not None:
            self.n_failed += 1
            self.failures[trial.failure] += 1
            return
        self.n_finished += 1
        before = self.hypervolume
        if trial.request.rung < self.top_rung:
            return
        if self._is_wanted(trial):
            self._enter_front(trial)
        if self.hypervolume > before:
            self._without_gain.clear()
        else:
            self._without_gain.append(sequence)

    def _is_wanted(self, trial: TrialRecord) -> bool:
        costs = trial.costs or {}
        return all(costs[name] <= most for name, most in self.max_costs.items())

    def _enter_front(self, trial: TrialRecord) -> None:
        row = self.costs_of([trial])
        front = row[:0] if self._front_costs is None else self._front_costs
        if dominates_any(front, row[0]):
            return
        stay = ~dominated_by(row[0], front)
        self._front = [*compress(self._front, stay), trial.request.trial_id]
        self._front_costs = np.concatenate([front[stay], row])
        self.hypervolume = hypervolume(self._front_costs, self._reference())

    def _reference(self) -> FloatArray:
        return np.array([objective.reference for objective in self.objectives], dtype=np.float64)

    def _costs(self, trial: TrialRecord) -> tuple[float, ...]:
        costs = trial.costs or {}
        try:
            return tuple(costs[objective.name] for objective in self.objectives)
        except KeyError as error:
            raise LogError(
                f"trial {trial.request.trial_id} has no cost {error}; the log was written by "
                "another frnas, use that one"
            ) from error

    def _require_known(self, event: Event) -> None:
        """Refuse what happens to a trial that was never asked."""
        if isinstance(event, Submitted):
            self._known(event.trial_id)
        elif isinstance(event, Told | AttemptLost):
            self._known(event.outcome.trial_id)

    def _known(self, trial_id: str) -> TrialRecord:
        if trial_id not in self.trials:
            raise LogError(
                f"trial {trial_id} has a result and was never asked; the log is damaged, "
                "restore it from a copy"
            )
        return self.trials[trial_id]

    def _advance_clock(self, logged: LoggedEvent) -> None:
        """Count the time since the event before, unless no coordinator was at work between."""
        if self.last_event is None or isinstance(logged.event, Resumed | Retrained):
            return
        self.wall_seconds = self.wall_seconds_at(*logged.moment)


def fold(events: Iterable[LoggedEvent]) -> RunView:
    """The view after a whole log, or after a prefix of it.

    Raises:
        LogError: The events contradict each other; the log is damaged.
    """
    view = RunView()
    for logged in events:
        view.apply(logged)
    return view
