"""When a search has spent enough. Pure: what was spent comes in, a reason or nothing comes out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The first limit that is reached ends the search; None is no limit.

    Attributes:
        plateau: Trials finished at the highest rung without any gain in hypervolume.
    """

    trials: int | None = None
    epochs: int | None = None
    gpu_hours: float | None = None
    wall_hours: float | None = None
    plateau: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a search has used up so far, all its sessions together."""

    epochs: int
    gpu_seconds: float
    wall_seconds: float
    trials_since_gain: int


def reached(limits: Limits, spent: Spent) -> str | None:
    """The first limit that is reached, as a reason in words; `trials` is the state machine's."""
    checks = (
        (limits.epochs, spent.epochs, "epochs are trained"),
        (limits.gpu_hours, spent.gpu_seconds / 3600, "GPU-hours are spent"),
        (limits.wall_hours, spent.wall_seconds / 3600, "hours have passed"),
        (limits.plateau, spent.trials_since_gain, "trials brought no hypervolume"),
    )
    for limit, value, words in checks:
        if limit is not None and value >= limit:
            return f"{limit:.15g} {words}"
    return None


HOPELESS_TRIALS = 10


def is_hopeless(*, n_finished: int, n_failed_now: int) -> bool:
    """Whether ten trials of this session failed and none of any ever succeeded.

    Then something is wrong with data, space or workers; a resumed run gets ten more tries.
    """
    return n_finished == 0 and n_failed_now >= HOPELESS_TRIALS
