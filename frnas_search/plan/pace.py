"""How long trials take: a part for each trial and a part for each of its epochs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.trial_record import TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds on a device.

    Attributes:
        per_trial: Whatever its epochs: loading, evaluation.
        source: Where the numbers are from, in words.
    """

    per_epoch: float
    per_trial: float = 0.0
    source: str = "as given"

    def seconds(self, *, trials: int, epochs: int) -> float:
        """Of so many trials with so many epochs together."""
        return self.per_trial * trials + self.per_epoch * epochs


def measured_pace(trials: Iterable[TrialRecord], *, source: str) -> Pace | None:
    """The pace of trials that ended with costs; None without one that trained an epoch.

    A straight line by least squares, with neither part below zero.
    """
    outcomes = [trial.outcome for trial in trials if trial.outcome and trial.costs is not None]
    points = [(told.epochs_trained, told.seconds) for told in outcomes if told.epochs_trained]
    if not points:
        return None
    n = len(points)
    mean_epochs = sum(epochs for epochs, _ in points) / n
    mean_seconds = sum(seconds for _, seconds in points) / n
    spread = sum((epochs - mean_epochs) ** 2 for epochs, _ in points)
    together = sum((x - mean_epochs) * (y - mean_seconds) for x, y in points)
    slope = max(0.0, together / spread) if spread else mean_seconds / mean_epochs
    if mean_seconds - slope * mean_epochs < 0.0:
        slope = sum(x * y for x, y in points) / sum(x * x for x, _ in points)
    return Pace(
        per_epoch=slope, per_trial=max(0.0, mean_seconds - slope * mean_epochs), source=source
    )
