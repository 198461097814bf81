"""How much of a search is left, at the pace so far. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.view import RunView


def fraction_done(view: RunView, now: str) -> float | None:
    """How much of the limit that will be reached first is used up; None without such a limit.

    A plateau cannot be foreseen and does not count.

    Args:
        view: The run.
        now: ISO 8601 with a Z.
    """
    spent = {
        "trials": view.n_finished + view.n_failed,
        "epochs": view.epochs_spent,
        "gpu_hours": view.gpu_seconds / 3600,
        "wall_hours": view.wall_seconds_at(now) / 3600,
    }
    limits = {name: view.limits.get(name) for name in spent}
    shares = [spent[name] / limit for name, limit in limits.items() if limit]
    if view.limits.get("deadline"):
        shares.append(_share_of_time(view, now))
    return min(1.0, max(shares)) if shares else None


def seconds_left(view: RunView, now: str) -> float | None:
    """At the pace so far; None when there is nothing to go by.

    Args:
        view: The run.
        now: ISO 8601 with a Z.
    """
    done = fraction_done(view, now)
    if not done:
        return None
    return view.wall_seconds_at(now) * (1.0 - done) / done


def _share_of_time(view: RunView, now: str) -> float:
    """How much of the time from the run's beginning to its deadline has passed."""
    times = (view.opened.at, now, str(view.limits["deadline"]))
    began, at, end = (datetime.fromisoformat(text) for text in times)
    return (at - began) / (end - began) if end > began else 1.0
