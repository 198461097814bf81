"""When a search has spent enough. Pure: what was spent comes in, a reason or nothing comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The first limit that is reached ends the search; None is no limit.

    Attributes:
        deadline: When the search ends, with its zone.
        plateau: Trials finished at the highest rung without any gain in hypervolume. Not reached
            while a trial is in flight there that was asked before it would have been.
    """

    trials: int | None = None
    epochs: int | None = None
    gpu_hours: float | None = None
    wall_hours: float | None = None
    deadline: datetime | None = None
    plateau: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a search has used up so far, all its sessions together, lost attempts included.

    Attributes:
        now: With its zone.
        trials_in_flight: Those that may still end a plateau of the limit's length.
    """

    now: datetime
    epochs: int
    gpu_seconds: float
    wall_seconds: float
    trials_since_gain: int
    trials_in_flight: int = 0


def reached(limits: Limits, spent: Spent) -> str | None:
    """The first limit that is reached, as a reason in words; `trials` is the state machine's."""
    if limits.deadline is not None and spent.now >= limits.deadline:
        deadline = limits.deadline.isoformat().replace("+00:00", "Z")
        return f"the deadline {deadline} has passed"
    gainless = 0 if spent.trials_in_flight else spent.trials_since_gain
    checks = (
        (limits.epochs, spent.epochs, "epochs are trained"),
        (limits.gpu_hours, spent.gpu_seconds / 3600, "GPU-hours are spent"),
        (limits.wall_hours, spent.wall_seconds / 3600, "hours have passed"),
        (limits.plateau, gainless, "trials brought no hypervolume"),
    )
    for limit, value, text in checks:
        if limit is not None and value >= limit:
            return f"{limit:.15g} {text}"
    return None
