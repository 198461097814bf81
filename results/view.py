"""A run as its event log tells it: trials, front, hypervolume, what was spent. Pure.

Applying the same events gives the same view, whether at once or one by one, so the coordinator can
keep one live and a reader can fold one from the log.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, assert_never

from results.errors import LogError
from results.events import (
    Asked,
    AttemptLost,
    Ended,
    EpochsTrained,
    Event,
    GivenUp,
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
    WorkerJudged,
    storable,
)
from results.front import GrowingFront
from results.ledger import Ledger
from results.objectives import Objective
from results.trial import FailureKind
from results.trial_record import HypervolumePoint, TrialRecord, never_asked, trial_of
from results.trials import TrialRow, Trials

if TYPE_CHECKING:
    from results.hypervolume import Volume
    from results.pareto import FloatArray

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
        trials: By trial id, in the order they were asked. A view that follows a log reads records
            from it when they are asked for; `trials.rows` is always there.
        wall_seconds: Seconds that coordinators were at work, all sessions together.
        given_up: Trials that are not tried any more before the run is resumed.
        judged: By address, what was last said of workers that get no trials, or do again.
        history: One point for each trial that ended, in order.
        ledger: What the time of workers went into, lost attempts included.
        last_sequence: Of the last event applied, 0 before the first.
        updated: That event's time.
        growing_front: At the highest rung, without trials above a `max_cost`.
        config_seconds: Configuration -> seconds on devices by its trials that ended.
        without_gain: Sequences of trials told at the highest rung since the hypervolume rose.
    """

    header: RunOpened | None = None
    warm_started: WarmStarted | None = None
    state: RunState = "running"
    reason: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    trials: Trials = field(default_factory=Trials)
    n_finished: int = 0
    n_failed: int = 0
    failures: Counter[FailureKind] = field(default_factory=Counter)
    given_up: set[str] = field(default_factory=set)
    judged: dict[str, WorkerJudged] = field(default_factory=dict)
    wall_seconds: float = 0.0
    history: list[HypervolumePoint] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    retrained: list[Retrained] = field(default_factory=list)
    last_sequence: int = 0
    last_event: LoggedEvent | None = None
    updated: str = ""
    growing_front: GrowingFront = field(default_factory=GrowingFront)
    config_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    without_gain: list[int] = field(default_factory=list)

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
        tally = self.trials.tallies.get(self.top_rung)
        if tally is None or not tally.n_finished:
            return "no trial has finished at the highest rung yet"
        limits = ", ".join(f"{name} {most:g}" for name, most in self.max_costs.items())
        return f"no trial at the highest rung keeps within max_cost ({limits})"

    @property
    def hypervolume(self) -> float:
        """Of the front at the highest rung, in the product of the objectives' units."""
        return self.growing_front.volume

    @property
    def hypervolume_error(self) -> float | None:
        """The standard error of the hypervolume where it is estimated; None when it is exact."""
        return self.growing_front.standard_error

    @property
    def front_size(self) -> int:
        """Points of the front at the highest rung."""
        return len(self.growing_front.ids)

    @property
    def n_running(self) -> int:
        """Trials asked that have not ended and are not given up."""
        return len(self.trials) - self.n_finished - self.n_failed - len(self.given_up)

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
        return len(self.without_gain)

    def n_may_end_plateau(self, plateau: int) -> int:
        """Trials in flight at the highest rung that were asked before a plateau was that long.

        Those asked later do not count: with workers that are never idle there always are some.
        """
        if plateau < 1 or len(self.without_gain) < plateau:
            return 0
        reached = self.without_gain[plateau - 1]
        running = (self.trials.rows[trial_id] for trial_id in self.trials.open)
        return sum(row.rung == self.top_rung and row.asked_sequence < reached for row in running)

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
        return list(self.trials.records_of(self._finished_rows(rung)))

    def front(self, rung: int | None = None) -> list[TrialRecord]:
        """The non-dominated trials of one rung, the highest by default.

        Sorted by the first objective, then by the next. Failed trials and those above a
        `max_cost` are never among them.
        """
        rows = self.front_rows(self.top_rung if rung is None else rung)
        return sorted(self.trials.records_of(rows), key=self._costs)

    def front_rows(self, rung: int) -> list[TrialRow]:
        """The rows of `front`, in the order they entered or were asked."""
        if rung == self.top_rung:
            return [self.trials.rows[trial_id] for trial_id in self.growing_front.ids]
        finished = [row for row in self._finished_rows(rung) if self._is_wanted(row)]
        if not finished:
            return []
        from results.pareto import non_dominated

        mask = non_dominated(self._table([self._row_costs(row) for row in finished]))
        return [row for row, keep in zip(finished, mask, strict=True) if keep]

    def front_volume(self, rung: int) -> Volume:
        """The hypervolume of one rung's front, with the variance of an estimate."""
        from results.hypervolume import Volume, front_volume

        if rung == self.top_rung:
            return Volume(self.growing_front.volume, self.growing_front.variance)
        costs = self._table([self._row_costs(row) for row in self.front_rows(rung)])
        return front_volume(costs, self._table([self._reference()])[0], seed=self.last_sequence)

    def best(self, objective: str, rung: int | None = None) -> TrialRecord | None:
        """The trial with the least of one objective at a rung, the highest by default.

        The one that was asked first, where several have it; None without any.
        """
        tally = self.trials.tallies.get(self.top_rung if rung is None else rung)
        place = None if tally is None else tally.best.get(objective)
        return None if place is None else self.trials[place[2]]

    def gpu_seconds_of(self, config_id: str) -> float:
        """Wall seconds on devices by all of one configuration's trials that ended."""
        return self.config_seconds.get(config_id, 0.0)

    def costs_of(self, trials: Sequence[TrialRecord]) -> FloatArray:
        """Costs of trials that have some, shape (n_trials, n_objectives)."""
        return self._table([self._costs(trial) for trial in trials])

    def volume(self, trials: Sequence[TrialRecord]) -> float:
        """The exact hypervolume of some trials with costs, in the product of the units.

        Of many trials with many objectives that takes for ever; `front_volume` does not.
        """
        from results.hypervolume import hypervolume

        return hypervolume(self.costs_of(trials), self._table([self._reference()])[0])

    def _take(self, logged: LoggedEvent) -> None:
        event = logged.event
        match event:
            case Asked():
                self._ask(event, logged)
            case Submitted() | AttemptLost() | GivenUp() | EpochsTrained():
                self.trials.take(logged)
                self._note(event)
            case Recalled() | SlotsChanged():
                pass  # the ledger's
            case WorkerJudged():
                self.judged[event.worker] = event
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
                self.trials.names = tuple(objective.name for objective in event.objectives)
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
        self.trials.take(logged)

    def _note(self, event: Event) -> None:
        """Keep of a trial's event what is asked of all trials at once."""
        if isinstance(event, GivenUp):
            self.given_up.add(event.trial_id)
        elif isinstance(event, Submitted):
            self.given_up.discard(event.trial_id)

    def _tell(self, event: Told, logged: LoggedEvent) -> None:
        row = self.trials.take(logged)
        if row is None:
            return  # a second answer, as after a lost connection: the first one counts
        self.config_seconds[row.config_id] += event.outcome.seconds
        self._count(row, logged.sequence)
        self.history.append(
            HypervolumePoint(
                sequence=logged.sequence,
                epochs_spent=self.epochs_spent,
                hypervolume=self.hypervolume,
                time=logged.time,
                gpu_seconds=self.gpu_seconds,
                front=self.growing_front.now,
            )
        )

    def _count(self, row: TrialRow, sequence: int) -> None:
        if row.failure:
            self.n_failed += 1
            self.failures[FailureKind(row.failure)] += 1
            return
        self.n_finished += 1
        if row.rung < self.top_rung:
            return
        if self._is_wanted(row) and self.growing_front.enter(
            row.trial_id, self._row_costs(row), reference=self._reference(), seed=sequence
        ):
            self.without_gain.clear()
        else:
            self.without_gain.append(sequence)

    def _finished_rows(self, rung: int) -> list[TrialRow]:
        rows = self.trials.rows.values()
        return [row for row in rows if row.costs is not None and row.rung == rung]

    def _is_wanted(self, row: TrialRow) -> bool:
        if not self.max_costs:
            return True
        costs = dict(zip(self.trials.names, self._row_costs(row), strict=True))
        return all(costs[name] <= most for name, most in self.max_costs.items())

    def _reference(self) -> tuple[float, ...]:
        return tuple(objective.reference for objective in self.objectives)

    def _table(self, rows: Sequence[tuple[float, ...]]) -> FloatArray:
        import numpy as np  # slow to load, and not needed by those who only ask how far a run is

        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.objectives))

    def _costs(self, trial: TrialRecord) -> tuple[float, ...]:
        return self._row_costs(self.trials.rows[trial.request.trial_id])

    def _row_costs(self, row: TrialRow) -> tuple[float, ...]:
        costs = tuple(cost for cost in row.costs or () if cost is not None)
        if len(costs) == len(self.trials.names):
            return costs
        missing = [
            name
            for name, cost in zip(self.trials.names, row.costs or (), strict=False)
            if cost is None
        ]
        raise LogError(
            f"trial {row.trial_id} has no cost {', '.join(map(repr, missing))}; the log was "
            "written by another frnas, use that one"
        )

    def _require_known(self, event: Event) -> None:
        """Refuse what happens to a trial that was never asked."""
        trial_id = trial_of(event)
        if trial_id is not None and trial_id not in self.trials and not isinstance(event, Asked):
            raise LogError(never_asked(trial_id))

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
