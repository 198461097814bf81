"""The front as a picture. The only module that knows matplotlib, and loads it when it draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results.atomic import replacing
from results.errors import SelectionError
from results.front import volume_text
from results.trial_record import TrialRecord
from results.view import RunView

_INK, _MUTED, _ACCENT, _PALE = "#1f2933", "#9aa5b1", "#c2410c", "#f0b48f"
_MOST_LABELLED = 15


def front_plot(view: RunView, path: Path, *, run: str) -> None:
    """Draw the first two objectives of every trial at the highest rung, with the front.

    The front is a step line, since nothing between two of its points is known to be reachable;
    bars are the 95 % intervals. With more than two objectives the front is that of all of them
    and the line is left out.

    Args:
        view: The run.
        path: Where the PNG goes; its folder must exist.
        run: The run's name, for the title.

    Raises:
        SelectionError: The run has one objective only.
    """
    if len(view.objectives) < 2:
        raise SelectionError("a run with one objective has no front to draw")
    figure = _figure(view, run)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _figure(view: RunView, run: str) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_trials(axes, view)
    _draw_front(axes, view)
    _label_axes(axes, view, run)
    return figure


def _draw_trials(axes: Any, view: RunView) -> None:
    front = {trial.request.trial_id for trial in view.front()}
    trials = view.finished_at(view.top_rung)
    others = [trial for trial in trials if trial.request.trial_id not in front]
    what = "not on the front" if view.max_costs else "dominated"
    if others:
        costs = view.costs_of(others)
        axes.scatter(
            costs[:, 0],
            costs[:, 1],
            s=22,
            color=_MUTED,
            alpha=0.6,
            linewidths=0,
            label=f"{what} ({len(others)})",
        )


def _draw_front(axes: Any, view: RunView) -> None:
    front = view.front()
    if not front:
        axes.text(
            0.5,
            0.5,
            view.why_no_front,
            transform=axes.transAxes,
            ha="center",
            color=_MUTED,
        )
        return
    costs = view.costs_of(front)
    low, high = _bars(view, front)
    axes.errorbar(
        costs[:, 0],
        costs[:, 1],
        xerr=np.stack([low[:, 0], high[:, 0]]),
        yerr=np.stack([low[:, 1], high[:, 1]]),
        fmt="none",
        ecolor=_PALE,
        elinewidth=1.2,
        capsize=2,
        zorder=2,
        label="95 % interval",
    )
    axes.scatter(
        costs[:, 0], costs[:, 1], s=42, color=_ACCENT, zorder=4, label=f"front ({len(front)})"
    )
    if len(view.objectives) == 2:
        axes.step(costs[:, 0], costs[:, 1], where="post", color=_ACCENT, linewidth=1.6, zorder=3)
    _label(axes, front, costs)


def _bars(view: RunView, front: Sequence[TrialRecord]) -> tuple[Any, Any]:
    """Lengths below and above each cost, shape (n, 2) each; 0 where no interval is known."""
    costs = view.costs_of(front)[:, :2]
    low, high = np.zeros_like(costs), np.zeros_like(costs)
    for row, trial in enumerate(front):
        intervals = {} if trial.outcome is None else trial.outcome.interval95
        for column, objective in enumerate(view.objectives[:2]):
            if objective.name in intervals:
                ends = intervals[objective.name]
                # A resampled interval need not hold the estimate; a bar cannot be negative.
                low[row, column] = max(0.0, costs[row, column] - ends[0])
                high[row, column] = max(0.0, ends[1] - costs[row, column])
    return low, high


def _label(axes: Any, front: Sequence[TrialRecord], costs: Any) -> None:
    step = -(-len(front) // _MOST_LABELLED)
    for trial, cost in list(zip(front, costs, strict=True))[::step]:
        axes.annotate(
            trial.request.config_id,
            cost[:2],
            xytext=(6, 6),
            textcoords="offset points",
            fontsize=8,
            color=_INK,
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
            zorder=5,
        )


def _label_axes(axes: Any, view: RunView, run: str) -> None:
    first, second = view.objectives[:2]
    axes.set_xlabel(f"{first.name.replace('_', ' ')} ({first.unit}, less is better)")
    axes.set_ylabel(f"{second.name.replace('_', ' ')} ({second.unit}, less is better)")
    axes.set_title(
        f"{run}: {view.n_finished} trials finished, {view.n_failed} failed, "
        f"hypervolume {volume_text(view.hypervolume, view.hypervolume_error, digits=4)}",
        loc="left",
        color=_INK,
        fontsize=11,
    )
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="upper right")
