"""One trial as the log tells it, from asking to its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

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
    front: tuple[str, ...]
