"""What a run is doing right now, beside its log: written by the coordinator every few seconds.

Nothing is decided by it and nothing is lost with it; it is there to look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from results.remaining import seconds_left
from results.view import RunState, RunView

_STALE_SECONDS = 60.0
"""What was written longer ago says nothing of now."""

_TRIAL_FIELDS = (
    "trial_id",
    "attempt",
    "phase",
    "epoch",
    "n_epochs",
    "step",
    "n_steps",
    "loss",
    "pictures_per_second",
    "memory_bytes",
    "seconds_left",
    "worker",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Who is at work, and how far the trials are that run.

    Attributes:
        updated: When that was, UTC, ISO 8601 with a Z.
        n_workers: Workers that take trials.
        n_busy: Of these, how many run one.
        idle: Worker -> why it gets no trials.
        waiting_for: What is missing, in words; empty when nothing is.
        trials: JSON objects, see the schema of `frnas.status/1`.
    """

    updated: str
    n_workers: int
    n_busy: int
    idle: Mapping[str, str] = field(default_factory=dict)
    waiting_for: str = ""
    trials: tuple[Mapping[str, Any], ...] = ()


def live_document(live: Live) -> dict[str, Any]:
    """As it is written, schema `frnas.live/1`; `read_live` is the inverse."""
    return {
        "schema": "frnas.live/1",
        "updated": live.updated,
        "workers": live.n_workers,
        "busy": live.n_busy,
        "idle": dict(live.idle),
        "waiting_for": live.waiting_for,
        "trials": [dict(trial) for trial in live.trials],
    }


def read_live(path: Path, *, now: str) -> Live | None:
    """What was written last; None where it is not there, no such document, or too old.

    Args:
        path: The file.
        now: ISO 8601 with a Z.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        live = Live(
            updated=str(value["updated"]),
            n_workers=int(value["workers"]),
            n_busy=int(value["busy"]),
            idle={str(worker): str(reason) for worker, reason in value["idle"].items()},
            waiting_for=str(value["waiting_for"]),
            trials=tuple(_trial(trial) for trial in value["trials"]),
        )
        age = _seconds_between(live.updated, now)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return live if abs(age) <= _STALE_SECONDS else None


def as_of_now(
    document: dict[str, Any], view: RunView, *, state: RunState, now: str, live: Live | None
) -> dict[str, Any]:
    """A `frnas.status/1` document with what has changed since the last event.

    Args:
        document: As of the last event.
        view: The run.
        state: What the run is doing.
        now: ISO 8601 with a Z.
        live: What the coordinator last said of it, if that is recent.
    """
    if state != "running":
        workers = None if live is None else _workers(live)
        running = [] if live is None else [_retraining(trial) for trial in live.trials]
        return document | {
            "now": now,
            "seconds_left": None,
            "workers": workers,
            "running": running,
        }
    slots = dict(document["slot_seconds"])
    since = max(0.0, _seconds_between(view.updated, now))
    slots["running"] += since * view.n_running
    return document | {
        "now": now,
        "wall_seconds": view.wall_seconds_at(now),
        "slot_seconds": slots,
        "seconds_left": seconds_left(view, now),
        "workers": None if live is None else _workers(live),
        "running": _running(view, now, live),
    }


def _workers(live: Live) -> dict[str, Any]:
    return {
        "fit": live.n_workers,
        "busy": live.n_busy,
        "idle": dict(live.idle),
        "waiting_for": live.waiting_for,
    }


def _running(view: RunView, now: str, live: Live | None) -> list[dict[str, Any]]:
    """The trials that run, with what they last said of themselves."""
    said = {trial["trial_id"]: trial for trial in (live.trials if live else ())}
    rows = []
    open_ids = [trial_id for trial_id in view.trials.open if trial_id not in view.given_up]
    for trial in view.trials.records(open_ids):
        trial_id = trial.request.trial_id
        heard = dict(said.get(trial_id, {}))
        rows.append(
            {
                "trial_id": trial_id,
                "config_id": trial.request.config_id,
                "rung": trial.request.rung,
                "attempt": trial.attempts,
                "asked_seconds": max(0.0, _seconds_between(trial.asked_time, now)),
                "epoch": heard.get("epoch"),
                "epochs": trial.request.epochs,
                "phase": heard.get("phase", "waiting"),
                "step": heard.get("step"),
                "steps": heard.get("n_steps"),
                "loss": heard.get("loss"),
                "pictures_per_second": heard.get("pictures_per_second"),
                "memory_bytes": heard.get("memory_bytes"),
                "seconds_left": heard.get("seconds_left"),
                "heard_seconds": heard.get("heard_seconds"),
                "worker": heard.get("worker") or trial.worker,
            }
        )
    return rows


def _retraining(said: Mapping[str, Any]) -> dict[str, Any]:
    """A training of `frnas retrain`, of which the log knows when it is done."""
    return {
        "trial_id": said["trial_id"],
        "config_id": str(said["trial_id"]).removeprefix("retrain-").partition("-")[0],
        "attempt": said["attempt"],
        "epoch": said["epoch"],
        "epochs": said["n_epochs"],
        "phase": said["phase"],
        "step": said["step"],
        "steps": said["n_steps"],
        "loss": said["loss"],
        "pictures_per_second": said["pictures_per_second"],
        "memory_bytes": said["memory_bytes"],
        "seconds_left": said["seconds_left"],
        "heard_seconds": said["heard_seconds"],
        "worker": said["worker"],
    }


def _trial(value: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value.get(name) for name in _TRIAL_FIELDS}
    return known | {"trial_id": str(value["trial_id"]), "heard_seconds": value["heard_seconds"]}


def _seconds_between(before: str, after: str) -> float:
    return (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()
