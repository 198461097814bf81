"""The epochs that running trials tell of, gathered into one event a trial now and then."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from results.events import EpochsTrained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.trials.function import EpochReport
    from workers.trials.messages import Heartbeat


@dataclass(slots=True)
class EpochReports:
    """What was told and is in no event yet, by trial and attempt."""

    _waiting: dict[tuple[str, int], list[EpochReport]] = field(default_factory=dict)

    def take(self, heartbeat: Heartbeat) -> None:
        """Keep the epochs of a heartbeat."""
        if heartbeat.reports:
            key = (heartbeat.trial_id, heartbeat.attempt)
            self._waiting.setdefault(key, []).extend(heartbeat.reports)

    def of(self, trial_id: str) -> Iterator[EpochsTrained]:
        """The events of one trial; they are taken out."""
        for key in [key for key in self._waiting if key[0] == trial_id]:
            yield _event(*key, self._waiting.pop(key))

    def all(self) -> Iterator[EpochsTrained]:
        """The events of all trials; they are taken out."""
        waiting, self._waiting = self._waiting, {}
        for (trial_id, attempt), reports in waiting.items():
            yield _event(trial_id, attempt, reports)


def _event(trial_id: str, attempt: int, reports: list[EpochReport]) -> EpochsTrained:
    by_epoch = {report.epoch: report for report in reports}
    ordered = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    return EpochsTrained(
        trial_id=trial_id,
        attempt=attempt,
        epochs=tuple(report.epoch for report in ordered),
        losses=tuple(report.loss if math.isfinite(report.loss) else None for report in ordered),
        costs={str(report.epoch): dict(report.costs) for report in ordered if report.costs},
    )
