"""What retraining found: each configuration's mean over seeds with its interval. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

from results.events import Retrained
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
    names = [objective.name for objective in view.objectives]
    return {
        "schema": "frnas.retrained/1",
        "run": run,
        "event": view.last_sequence,
        "split": "test",
        "models": [
            _entry(config_id, epochs, [by_seed[seed] for seed in sorted(by_seed)], names, kept)
            for (config_id, epochs), by_seed in latest.items()
        ],
    }


def _entry(
    config_id: str,
    epochs: int,
    events: list[Retrained],
    names: list[str],
    kept: Mapping[str | None, Retrained],
) -> Document:
    trained = [event for event in events if event.outcome.costs is not None]
    return {
        "config_id": config_id,
        "epochs": epochs,
        "costs": {name: _summary(trained, name) for name in names} if trained else None,
        "seeds": [_seed(event, has_model=kept[event.model] is event) for event in events],
    }


def _summary(trained: list[Retrained], name: str) -> Document:
    mean, interval = mean_and_interval([(event.outcome.costs or {})[name] for event in trained])
    return {
        "mean": mean,
        "interval95": None if interval is None else list(interval),
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
