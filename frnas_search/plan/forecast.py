"""What a search will do until a limit ends it, before anything is spent. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frnas_search.plan.brackets import Bracket, Stage, brackets, trials_in_order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from frnas_search.coordinator.limits import Limits
    from frnas_search.optimizers.fidelity import Fidelity
    from frnas_search.plan.pace import Pace

_SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How far a search gets, if every trial succeeds.

    Attributes:
        round: Hyperband's brackets, each once.
        ends_by: The limit that will be reached first; None when none of those in force can be
            foreseen, and the numbers are those of one round.
        rounds: Times that all brackets are gone through.
        reached: Rung -> trials there.
        ending: Rung -> configurations whose training ends there.
        device_seconds: None without a pace.
        wall_seconds: Likewise; for workers that always have something to do.
    """

    round: tuple[Bracket, ...]
    ends_by: str | None
    rounds: float
    trials: int
    epochs: int
    reached: Mapping[int, int]
    ending: Mapping[int, int]
    device_seconds: float | None
    wall_seconds: float | None

    @property
    def configurations(self) -> int:
        """Different ones, of which some are promoted."""
        return sum(self.ending.values())


def forecast(
    fidelity: Fidelity, limits: Limits, *, pace: Pace | None, n_workers: int, now: datetime
) -> Forecast:
    """Follow Hyperband's brackets until the first limit that can be foreseen is reached.

    A plateau cannot be, nor limits in hours without a pace.

    Args:
        fidelity: The run's.
        limits: In force.
        pace: Of trials; None when it is unknown.
        n_workers: That work side by side.
        now: When the search begins, for its deadline.
    """
    round_ = brackets(fidelity)
    bounds = _bounds(limits, pace, n_workers, now)
    steps = _trials_until(round_, bounds, pace)
    reached = Counter({stage.rung: 0 for bracket in round_ for stage in bracket.stages})
    ending = reached.copy()
    for stage, count in steps.counts.items():
        reached[stage.rung] += count
        ending[stage.rung] += count
        if stage.adds < stage.epochs:
            ending[stage.rung - 1] -= count
    seconds = None if pace is None else pace.seconds(trials=steps.trials, epochs=steps.epochs)
    return Forecast(
        round=round_,
        ends_by=steps.ends_by,
        rounds=steps.trials / sum(bracket.trials for bracket in round_),
        trials=steps.trials,
        epochs=steps.epochs,
        reached=dict(sorted(reached.items())),
        ending=dict(sorted(ending.items())),
        device_seconds=seconds,
        wall_seconds=None if seconds is None else seconds / n_workers,
    )


@dataclass(slots=True, kw_only=True)
class _Steps:
    """Trials counted so far."""

    counts: Counter[Stage]
    trials: int = 0
    epochs: int = 0
    ends_by: str | None = None

    def spent(self, name: str, pace: Pace | None) -> float:
        """In the unit of a bound."""
        if name == "trials":
            return self.trials
        if name == "epochs" or pace is None:
            return self.epochs
        return pace.seconds(trials=self.trials, epochs=self.epochs)

    def add(self, stage: Stage, count: int) -> None:
        self.counts[stage] += count
        self.trials += count
        self.epochs += count * stage.adds


def _bounds(limits: Limits, pace: Pace | None, n_workers: int, now: datetime) -> dict[str, float]:
    """The limits that can be foreseen; those in hours as seconds on all devices together."""
    hours: dict[str, float | None] = {"gpu_hours": limits.gpu_hours}
    if limits.wall_hours is not None:
        hours["wall_hours"] = limits.wall_hours * n_workers
    if limits.deadline is not None:
        left = (limits.deadline - now).total_seconds() / _SECONDS_AN_HOUR
        hours["deadline"] = max(0.0, left) * n_workers
    bounds: dict[str, float | None] = {"trials": limits.trials, "epochs": limits.epochs}
    if pace is not None and pace.seconds(trials=1, epochs=1) > 0.0:
        bounds |= {
            name: None if limit is None else limit * _SECONDS_AN_HOUR
            for name, limit in hours.items()
        }
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _trials_until(
    round_: tuple[Bracket, ...], bounds: Mapping[str, float], pace: Pace | None
) -> _Steps:
    """Whole rounds at once as far as they go, then trial by trial."""
    one = _Steps(counts=Counter())
    for bracket in round_:
        for stage in bracket.stages:
            one.add(stage, stage.configurations)
    if not bounds:
        return one
    costs = {name: one.spent(name, pace) for name in bounds}
    n_whole = min(math.floor(bounds[name] / cost) for name, cost in costs.items())
    n_whole = max(0, n_whole - 1)
    steps = _Steps(counts=Counter())
    for stage, count in one.counts.items():
        steps.add(stage, count * n_whole)
    for stage in trials_in_order(round_):
        reached = (name for name, bound in bounds.items() if steps.spent(name, pace) >= bound)
        steps.ends_by = next(reached, None)
        if steps.ends_by is not None:
            break
        steps.add(stage, 1)
    return steps
