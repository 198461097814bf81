"""How far a run is, as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.view import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """How far a run is.

    Attributes:
        run: The run's name.
        state: `running` while a coordinator is at work on it, `stopped` after Ctrl-C or a kill,
            `finished` at one of its limits, `failed` when it gave up.
        reason: Why it ends or ended, in words; empty before.
        started: When it began, in UTC.
        updated: When the last event was logged, in UTC.
        n_finished: Trials with costs, of all rungs.
        n_failed: Trials that failed.
        n_running: Trials in progress.
        n_lost: Trials that are not tried any more before the run is resumed.
        running: Each trial in progress, as in the document `frnas.status/1`: epoch, loss, speed,
            seconds left.
        seconds_left: At the pace so far; None where nobody can tell, or nothing runs.
        failures: Kind of failure -> number of trials.
        best: Objective -> its least cost at the highest rung; None before there is one.
        front_size: Points of the Pareto front.
        hypervolume: Of the front, in the product of the objectives' units.
        hypervolume_error: Its standard error where it is estimated, as with many objectives; None
            where it is exact.
        epochs_spent: Epochs trained, those of lost attempts included.
        gpu_seconds: Seconds on devices, those of lost attempts included.
        wall_seconds: Seconds that coordinators were at work.
        limits: Limits of the search that are set, by their name in the run file's `stop`.
    """

    run: str
    state: RunState
    reason: str
    started: datetime
    updated: datetime
    n_finished: int
    n_failed: int
    n_running: int
    failures: Mapping[str, int]
    best: Mapping[str, float | None]
    front_size: int
    hypervolume: float
    epochs_spent: int
    gpu_seconds: float
    wall_seconds: float
    limits: Mapping[str, Any]
    n_lost: int = 0
    running: tuple[Mapping[str, Any], ...] = ()
    seconds_left: float | None = None
    hypervolume_error: float | None = None


def status_of(document: Mapping[str, Any]) -> RunStatus:
    """The record of a `frnas.status/1` document."""
    trials, best = document["trials"], document["best"]
    return RunStatus(
        run=document["run"],
        state=document["state"],
        reason=document["reason"],
        started=datetime.fromisoformat(document["started"]),
        updated=datetime.fromisoformat(document["updated"]),
        n_finished=trials["finished"],
        n_failed=trials["failed"],
        n_running=trials["running"],
        failures=document["failures"],
        best={name: entry and entry["cost"] for name, entry in best.items()},
        front_size=document["front_size"],
        hypervolume=document["hypervolume"],
        hypervolume_error=document.get("hypervolume_error"),
        epochs_spent=document["epochs_spent"],
        gpu_seconds=document["gpu_seconds"],
        wall_seconds=document["wall_seconds"],
        limits={name: limit for name, limit in document["limits"].items() if limit is not None},
        n_lost=trials["lost"],
        running=tuple(document["running"]),
        seconds_left=document["seconds_left"],
    )
