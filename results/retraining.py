"""What retraining found: each configuration's mean over seeds with its interval. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

from results.events import Retrained
from results.objectives import Objective
from results.statistics import mean_and_interval
from results.view import RunView

Document: TypeAlias = dict[str, Any]


def retrained_document(view: RunView, *, run: str) -> Document:
    """Every retrained configuration, schema `frnas.retrained/1`.

    One entry for each configuration and length of training, in the order they were first done. A
    seed that was trained again replaces its older result. `model` is null for a seed without a
    model: its training failed, or one of another length has taken its folder since.
    """
    kept = {event.model: event for event in view.retrained}
    latest: dict[tuple[str, int], dict[int, Retrained]] = defaultdict(dict)
    for event in view.retrained:
        latest[event.config_id, event.epochs][event.seed] = event
    return {
        "schema": "frnas.retrained/1",
        "run": run,
        "event": view.last_sequence,
        "split": "test",
        "models": [
            _entry(view, [by_seed[seed] for seed in sorted(by_seed)], kept)
            for (config_id, epochs), by_seed in latest.items()
        ],
    }


def _entry(
    view: RunView, events: list[Retrained], kept: Mapping[str | None, Retrained]
) -> Document:
    trained = [event for event in events if event.outcome.costs is not None]
    costs = (
        {objective.name: _summary(trained, objective) for objective in view.objectives}
        if trained
        else None
    )
    return {
        "config_id": events[0].config_id,
        "epochs": events[0].epochs,
        "costs": costs,
        "seeds": [_seed(event, has_model=kept[event.model] is event) for event in events],
    }


def _summary(trained: list[Retrained], objective: Objective) -> Document:
    values = [(event.outcome.costs or {})[objective.name] for event in trained]
    mean, interval = mean_and_interval(values)
    return {
        "mean": mean,
        # Few seeds leave wide intervals, which know nothing of the values a cost can take.
        "interval95": interval and [max(0.0, interval[0]), min(objective.bound, interval[1])],
        "n_seeds": len(trained),
    }


def _seed(event: Retrained, *, has_model: bool) -> Document:
    outcome = event.outcome
    return {
        "seed": event.seed,
        "model": event.model if has_model else None,
        "costs": None if outcome.costs is None else dict(outcome.costs),
        "interval95": {name: list(pair) for name, pair in outcome.interval95.items()},
        "failure": None if outcome.failure is None else str(outcome.failure),
        "detail": outcome.detail,
        "seconds": outcome.seconds,
        "metrics": dict(outcome.metrics),
    }
