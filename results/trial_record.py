"""One trial as the log tells it, from asking to its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from results.errors import LogError
from results.events import (
    Asked,
    AttemptLost,
    EpochsTrained,
    Event,
    GivenUp,
    LoggedEvent,
    Submitted,
    Told,
    storable,
)
from results.front import Front
from results.trial import FailureKind, TrialOutcome, TrialRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial: what was asked, and what came of it so far.

    Attributes:
        attempts: Attempts handed to the executor, where they may still wait for a worker.
        losses: Attempts that came to nothing, after which the trial went on.
        worker: Where it ran, or else where it was meant to run.
        outcome: None until it ended; its metrics hold no NaN.
        given_up: Why it is not tried any more before the run is resumed; empty when it is.
        loss_by_epoch: Epoch -> the mean training loss, as it was told while it ran.
        costs_by_epoch: Epoch -> costs on the validation split, where they were measured.
    """

    request: TrialRequest
    asked_sequence: int
    asked_time: str
    attempts: int = 0
    losses: tuple[TrialOutcome, ...] = ()
    worker: str = ""
    outcome: TrialOutcome | None = None
    told_sequence: int | None = None
    told_time: str | None = None
    given_up: str = ""
    loss_by_epoch: Mapping[int, float | None] = field(default_factory=dict)
    costs_by_epoch: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def next_request(self) -> TrialRequest:
        """The request to hand out again when the coordinator of this trial is gone.

        The same attempt, unless that one was lost with its worker.
        """
        lost = max((loss.attempt for loss in self.losses), default=0)
        attempt = max(1, self.attempts, lost + 1)
        return replace(self.request, attempt=attempt)

    @property
    def costs(self) -> Mapping[str, float] | None:
        """The costs, None while it runs or when it failed."""
        return None if self.outcome is None else self.outcome.costs

    @property
    def failure(self) -> FailureKind | None:
        """Why it failed, None while it runs or when it has costs."""
        return None if self.outcome is None else self.outcome.failure


class HypervolumePoint(NamedTuple):
    """The front after one trial ended, at what was spent by then.

    Attributes:
        time: UTC, ISO 8601 with a Z.
        front: Trial ids in the order they entered.
    """

    sequence: int
    epochs_spent: int
    hypervolume: float
    time: str
    gpu_seconds: float
    front: Front


def trial_of(event: Event) -> str | None:
    """The trial that an event is about, whose record it changes; None of an event of the run."""
    if isinstance(event, Asked):
        return event.request.trial_id
    if isinstance(event, Submitted | GivenUp | EpochsTrained):
        return event.trial_id
    if isinstance(event, Told | AttemptLost):
        return event.outcome.trial_id
    return None


def advanced(trial: TrialRecord | None, logged: LoggedEvent) -> TrialRecord:
    """A trial after one more event that `trial_of` says is about it.

    Nothing but a trial's own events makes its record, so one is made from the log whenever it is
    wanted, and equals the one that a live view keeps.

    Args:
        trial: As of its event before; None before its first, which is `Asked`.
        logged: The event.

    Raises:
        LogError: The trial was never asked; the log is damaged.
    """
    event = logged.event
    if trial is None:
        if not isinstance(event, Asked):
            raise LogError(never_asked(trial_of(event)))
        return TrialRecord(
            request=event.request, asked_sequence=logged.sequence, asked_time=logged.time
        )
    changed = _changed(trial, event)
    return _told(changed, logged, event.outcome) if isinstance(event, Told) else changed


def never_asked(trial_id: str | None) -> str:
    """What to say of a trial whose first event is not its asking."""
    return (
        f"trial {trial_id} has a result and was never asked; the log is damaged, "
        "restore it from a copy"
    )


def _changed(trial: TrialRecord, event: Event) -> TrialRecord:
    match event:
        case Submitted():
            attempts = max(trial.attempts, event.attempt)
            worker = event.worker or trial.worker
            return replace(trial, given_up="", attempts=attempts, worker=worker)
        case AttemptLost():
            return replace(trial, losses=(*trial.losses, storable(event.outcome)))
        case GivenUp():
            return replace(trial, given_up=event.reason)
        case EpochsTrained():
            return _trained(trial, event)
        case _:
            return trial


def _told(trial: TrialRecord, logged: LoggedEvent, outcome: TrialOutcome) -> TrialRecord:
    if trial.outcome is not None:
        return trial  # a second answer, as after a lost connection: the first one counts
    return replace(
        trial,
        outcome=storable(outcome),
        attempts=max(trial.attempts, outcome.attempt),
        worker=outcome.worker or trial.worker,
        told_sequence=logged.sequence,
        told_time=logged.time,
    )


def _trained(trial: TrialRecord, event: EpochsTrained) -> TrialRecord:
    losses = dict(trial.loss_by_epoch) | dict(zip(event.epochs, event.losses, strict=True))
    costs = dict(trial.costs_by_epoch)
    costs |= {int(epoch): dict(found) for epoch, found in event.costs.items()}
    return replace(trial, loss_by_epoch=losses, costs_by_epoch=costs)
