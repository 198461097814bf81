"""Which configurations a person means by `front`, `knee` or a list of ids. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from results.errors import SelectionError
from results.pareto import FloatArray
from results.view import RunView

_MOST_LISTED = 20


def select(view: RunView, selection: str) -> list[str]:
    """The configuration ids that `selection` means, each once.

    Args:
        view: The run.
        selection: `front` for every configuration on the front; `knee` for its best compromise,
            see `knee`; else ids separated by commas, of configurations (c0007) or trials (t0031).

    Returns:
        The front in the order of its first objective, or the ids in the order given.

    Raises:
        SelectionError: The front is empty, or an id is not in the run.
    """
    text = selection.strip()
    if text in ("front", "knee"):
        front = view.front()
        if not front:
            raise SelectionError(
                f"the front is empty, {view.why_no_front}; wait for one, or name configurations"
            )
        chosen = front if text == "front" else [front[knee(view.costs_of(front))]]
        return _each_once(trial.request.config_id for trial in chosen)
    return _each_once(_configurations(view, text))


def max_costs(texts: Iterable[str]) -> dict[str, float]:
    """`error=0.3` each, as objective -> largest cost.

    Raises:
        SelectionError: One is written in another way.
    """
    limits = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            limits[name] = float(number)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            raise SelectionError(f"max {text}: write it as OBJECTIVE=COST, such as error=0.3")
    return limits


def knee(costs: FloatArray) -> int:
    """The row of a front that is its best compromise: the bend of the curve.

    Each objective is scaled to 0..1 over the front. With two objectives it is the point farthest
    from the straight line between the two extremes, on the ideal's side; where the front bends
    the other way, the extreme with the least first objective. With any other number it is the
    point nearest to the ideal. A single point is its own knee; ties go to the first row.

    Args:
        costs: Shape (n, m), n at least 1; non-dominated.

    References:
        Branke et al., Finding knees in multi-objective optimization, PPSN 2004; the distance to
        the extreme line is Das, Structural Optimization 18, 1999.
    """
    low, span = costs.min(axis=0), np.ptp(costs, axis=0)
    scaled = (costs - low) / np.where(span > 0, span, 1.0)
    # Two objectives: the extremes are (0, 1) and (1, 0), and the distance to the line through
    # them, on the ideal's side, grows as the sum shrinks.
    distance = scaled.sum(axis=1) if costs.shape[1] == 2 else np.linalg.norm(scaled, axis=1)
    nearest = np.flatnonzero(np.isclose(distance, distance.min()))
    return int(nearest[np.argmin(costs[nearest, 0])])


def _configurations(view: RunView, text: str) -> list[str]:
    known = {row.config_id for row in view.trials.rows.values()}
    ids = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [
        identifier
        for identifier in ids
        if identifier not in known and identifier not in view.trials
    ]
    if unknown or not ids:
        what = f"the run has no {', '.join(unknown)}" if unknown else "nothing is selected"
        raise SelectionError(f"{what}; give front, knee, or ids of {_known_ids(view)}")
    return [
        identifier if identifier in known else view.trials.rows[identifier].config_id
        for identifier in ids
    ]


def _known_ids(view: RunView) -> str:
    ids = _each_once(row.config_id for row in view.trials.rows.values())
    if not ids:
        return "configurations, of which the run has none yet"
    listed = ", ".join(ids[:_MOST_LISTED])
    return listed if len(ids) <= _MOST_LISTED else f"{listed}, … {ids[-1]} ({len(ids)} in all)"


def _each_once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
