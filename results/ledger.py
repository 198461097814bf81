"""What the time of workers went into, folded from the event log. Pure.

Every second of a slot is in one place: it led to a result (useful), did again what had been done
(repeated), came to nothing with its worker (lost), ended in a failure (failed), is under way
(running), or was nobody's (waiting). Seconds are those of a slot, whatever device it has.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from results.events import (
    Asked,
    AttemptLost,
    Ended,
    Moment,
    Recalled,
    Resumed,
    Retrained,
    SlotsChanged,
    Submitted,
    Told,
)
from results.trial import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from results.events import LoggedEvent
    from results.trial import TrialOutcome
    from results.trials import TrialRow

_OF_ROWS = ("_requests", "_told")
"""What a run's trials say as well."""


class Waste(NamedTuple):
    """Seconds of slots by what they went into; `waiting` is None in logs that hold no slots."""

    useful: float
    repeated: float
    lost: float
    failed: float
    running: float
    waiting: float | None


@dataclass(slots=True)
class Ledger:
    """Running sums over the events applied so far; changed only by `apply`.

    Attributes:
        useful: In trials with costs, and in what lost attempts left in a checkpoint for them.
        repeated: In trials with costs, on epochs that an earlier trial of the configuration had
            trained and whose checkpoint was not there any more.
        lost: In attempts whose worker was lost, or whose coordinator was killed, without a
            checkpoint that a later attempt went on from.
        failed: In trials that ended as failures of their own.
        epochs: Trained by all trials that ended, and by lost attempts as estimated.
        lost_epochs: Of these, those of lost attempts that nobody reported: estimated from their
            seconds at the pace of the trials that had ended by then.
    """

    useful: float = 0.0
    repeated: float = 0.0
    lost: float = 0.0
    failed: float = 0.0
    epochs: int = 0
    lost_epochs: int = 0
    _slot_seconds: float | None = None
    _accounted: float = 0.0
    _n_slots: int = 0
    _now: Moment = field(default_factory=Moment)
    _requests: dict[str, tuple[str, int]] = field(default_factory=dict)
    _open: dict[str, Moment] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _unkept: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _trained: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _seconds_reported: float = 0.0
    _epochs_reported: int = 0

    def to_json(self) -> dict[str, Any]:
        """The sums as JSON values; `ledger_from_json` is the inverse."""
        kept = (item.name for item in fields(self) if item.name not in _OF_ROWS)
        return {name: getattr(self, name) for name in kept}

    @property
    def seconds(self) -> float:
        """All that was spent, by trials that ended and by lost attempts."""
        return self.useful + self.repeated + self.lost + self.failed

    def waste(self) -> Waste:
        """Where the time of the slots went, as of the last event."""
        running = sum(since.seconds_until(self._now) for since in self._open.values())
        waiting = None
        if self._slot_seconds is not None:
            running = min(running, max(0.0, self._slot_seconds - self._accounted))
            waiting = max(0.0, self._slot_seconds - self._accounted - running)
        return Waste(self.useful, self.repeated, self.lost, self.failed, running, waiting)

    def apply(self, logged: LoggedEvent) -> None:
        """Take one more event into account, in the log's order; one of no trial's is passed by."""
        self._advance(logged)
        event = logged.event
        match event:
            case Asked(request=request):
                self._requests.setdefault(request.trial_id, (request.config_id, request.epochs))
            case Submitted(trial_id=trial_id):
                self._lose(trial_id)  # of logs that do not tell the loss itself
                self._open[trial_id] = logged.moment
            case AttemptLost(outcome=outcome):
                self._lose(outcome.trial_id, outcome)
            case Told(outcome=outcome):
                self._tell(outcome)
            case Recalled() | SlotsChanged() | Ended():
                self._change_slots(event)
            case _:
                pass

    def _change_slots(self, event: Recalled | SlotsChanged | Ended) -> None:
        if isinstance(event, Recalled):
            for trial_id in event.trial_ids:
                self._open.pop(trial_id, None)
        elif isinstance(event, SlotsChanged):
            self._slot_seconds = self._slot_seconds or 0.0
            self._n_slots = event.n_slots
        else:
            self._close()

    def _advance(self, logged: LoggedEvent) -> None:
        """Slots have been there since the event before, unless no coordinator was at work."""
        if isinstance(logged.event, Retrained):
            return
        if isinstance(logged.event, Resumed):
            self._close()  # what ran was lost when the last coordinator wrote its last event
        if self._slot_seconds is not None:
            self._slot_seconds += self._n_slots * self._now.seconds_until(logged.moment)
        self._now = logged.moment

    def _close(self) -> None:
        for trial_id in list(self._open):
            self._lose(trial_id)
        self._n_slots = 0

    def _lose(self, trial_id: str, outcome: TrialOutcome | None = None) -> None:
        since = self._open.pop(trial_id, None)
        reported = 0.0 if outcome is None else outcome.seconds
        if since is None and not reported:
            return
        seconds = reported or (since or self._now).seconds_until(self._now)
        self.lost += seconds
        self._unkept[trial_id] += seconds
        self._account(seconds)
        n_epochs = 0 if outcome is None else outcome.epochs_trained
        if not n_epochs:
            n_epochs = self._estimated_epochs(trial_id, seconds)
            self.lost_epochs += n_epochs
        self.epochs += n_epochs

    def _estimated_epochs(self, trial_id: str, seconds: float) -> int:
        """Whole epochs that a lost attempt trained, not more than its trial has."""
        if self._epochs_reported == 0 or self._seconds_reported <= 0.0:
            return 0
        pace = self._epochs_reported / self._seconds_reported
        return min(int(seconds * pace), self._needed(trial_id))

    def _needed(self, trial_id: str) -> int:
        """Epochs that a trial adds to what its configuration had been trained to."""
        config_id, epochs = self._requests[trial_id]
        return max(0, epochs - self._trained[config_id])

    def _tell(self, outcome: TrialOutcome) -> None:
        if outcome.trial_id in self._told:
            return
        self._told.add(outcome.trial_id)
        if outcome.failure is FailureKind.WORKER_LOST:
            self._lose(outcome.trial_id, outcome)
            return
        self._open.pop(outcome.trial_id, None)
        self._account(outcome.seconds)
        self.epochs += outcome.epochs_trained
        self._seconds_reported += outcome.seconds
        self._epochs_reported += outcome.epochs_trained
        if outcome.costs is None:
            self.failed += outcome.seconds
        else:
            self._count_success(outcome)

    def _count_success(self, outcome: TrialOutcome) -> None:
        needed, trained = self._needed(outcome.trial_id), outcome.epochs_trained
        repeated = outcome.seconds * max(0, trained - needed) / max(1, trained)
        self.repeated += repeated
        self.useful += outcome.seconds - repeated
        self._keep(outcome.trial_id, self._seconds_of(needed - trained, outcome))
        config_id, epochs = self._requests[outcome.trial_id]
        self._trained[config_id] = max(self._trained[config_id], epochs)

    def _keep(self, trial_id: str, seconds: float) -> None:
        """Move what a lost attempt had left in a checkpoint from lost to useful."""
        kept = min(seconds, self._unkept.pop(trial_id, 0.0))
        self.lost -= kept
        self.useful += kept

    def _seconds_of(self, n_epochs: int, outcome: TrialOutcome) -> float:
        """How long epochs took that a trial did not need to train; all there is if it had none."""
        if n_epochs <= 0:
            return 0.0
        if outcome.epochs_trained == 0:
            return float("inf")
        return outcome.seconds / outcome.epochs_trained * n_epochs

    def _account(self, seconds: float) -> None:
        if self._slot_seconds is not None:
            self._accounted += seconds


def ledger_from_json(value: Mapping[str, Any], rows: Iterable[TrialRow]) -> Ledger:
    """The ledger that `to_json` wrote, also after a trip through JSON text.

    Args:
        value: What was written.
        rows: Of the run's trials, as of the same event.
    """
    ledger = Ledger(**value)
    ledger._now = Moment(*value["_now"])
    ledger._open = {name: Moment(*moment) for name, moment in value["_open"].items()}
    ledger._unkept = defaultdict(float, value["_unkept"])
    ledger._trained = defaultdict(int, value["_trained"])
    known = list(rows)
    ledger._requests = {row.trial_id: (row.config_id, row.epochs) for row in known}
    ledger._told = {row.trial_id for row in known if row.told_sequence is not None}
    return ledger
