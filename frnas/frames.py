"""Runs as data frames. The only module of `frnas` that knows pandas.

A column has the same name and the same type in every run, also where the frame is empty: texts are
pandas' `string`, whole numbers that may be missing `Int64`, times `datetime64` in UTC. A cost has
three columns, NAME, NAME_low and NAME_high, the latter its 95 % interval; what was built has
`architecture.NAME`, a hyperparameter `configuration.NAME`, missing where it is not active.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

if TYPE_CHECKING:
    from results.trial import Architecture, TrialOutcome
    from results.trial_record import TrialRecord
    from results.view import RunView

_Row: TypeAlias = Mapping[str, Any]
_Types: TypeAlias = dict[str, str]

_TIME = "datetime64[us, UTC]"
_ARCHITECTURE: _Types = {
    "architecture.family": "string",
    "architecture.hash": "string",
    "architecture.parameters": "Int64",
    "architecture.macs": "Int64",
    "architecture.activation_bytes": "Int64",
}
_FRONT: _Types = {
    "config_id": "string",
    "trial_id": "string",
    "rung": "int64",
    "epochs": "int64",
    "gpu_seconds": "float64",
}
_TRIAL: _Types = {
    "trial_id": "string",
    "config_id": "string",
    "state": "string",
    "failure": "string",
    "rung": "int64",
    "epochs": "int64",
    "seed": "int64",
    "origin": "string",
}
_COURSE: _Types = {
    "detail": "string",
    "attempts": "int64",
    "epochs_trained": "Int64",
    "seconds": "float64",
    "worker": "string",
    "device": "string",
    "asked": _TIME,
    "told": _TIME,
}
_GROUP: _Types = {
    "config_id": "string",
    "trial_id": "string",
    "group": "string",
    "error": "float64",
    "mean_rank": "float64",
    "n_probes": "Int64",
    "n_identities": "Int64",
}
_MODEL: _Types = {
    "config_id": "string",
    "seed": "int64",
    "epochs": "int64",
    "path": "string",
    "failure": "string",
    "detail": "string",
    "seconds": "float64",
}


def front_frame(view: RunView, entries: Sequence[_Row]) -> pd.DataFrame:
    """The entries of a front, as in a `frnas.pareto/1` document; one row each, in their order."""
    rows = [
        {name: entry[name] for name in (*_FRONT, "checkpoint")}
        | _costs(entry["costs"], entry["interval95"])
        | _prefixed("architecture", entry["architecture"] or {})
        | _prefixed("configuration", entry["configuration"])
        for entry in entries
    ]
    types = _FRONT | _cost_types(view) | _ARCHITECTURE | {"checkpoint": "string"}
    return _frame(rows, types | _value_types("configuration", rows))


def groups_frame(entries: Sequence[_Row]) -> pd.DataFrame:
    """What was measured of each group, for every entry of a front; one row an entry and group."""
    rows = [
        {"config_id": entry["config_id"], "trial_id": entry["trial_id"], "group": label}
        | {name: value for name, value in group.items() if isinstance(value, int | float)}
        for entry in entries
        for label, group in entry["metrics"].get("groups", {}).items()
    ]
    measured = dict.fromkeys(name for row in rows for name in row)
    types = {name: _type_of(row.get(name) for row in rows) for name in measured}
    return _frame(rows, _GROUP | {name: types[name] for name in measured if name not in _GROUP})


def trials_frame(view: RunView, states: Mapping[str, str]) -> pd.DataFrame:
    """Every trial of a run, one row each, in the order they were asked.

    Args:
        view: The run.
        states: Trial id -> what it is doing.
    """
    rows = [_trial(trial, states[trial_id]) for trial_id, trial in view.trials.items()]
    types = _TRIAL | _cost_types(view) | _COURSE | _ARCHITECTURE
    return _frame(rows, types | _value_types("configuration", rows))


def models_frame(view: RunView, rows: Sequence[_Row]) -> pd.DataFrame:
    """Retrained models, one row each; their costs are those on the test split."""
    flat = [dict(row) | _costs(row["costs"] or {}, row["interval95"]) for row in rows]
    return _frame(flat, _MODEL | _cost_types(view))


def _trial(trial: TrialRecord, state: str) -> _Row:
    request, outcome = trial.request, trial.outcome
    asked = {
        "trial_id": request.trial_id,
        "config_id": request.config_id,
        "state": state,
        "rung": request.rung,
        "epochs": request.epochs,
        "seed": request.seed,
        "origin": request.origin or None,
        "attempts": trial.attempts,
        "worker": trial.worker or None,
        "asked": trial.asked_time,
        "told": trial.told_time,
    }
    ended = {} if outcome is None else _outcome(outcome)
    return asked | ended | _prefixed("configuration", request.configuration)


def _outcome(outcome: TrialOutcome) -> dict[str, Any]:
    return {
        "failure": None if outcome.failure is None else str(outcome.failure),
        "detail": outcome.detail or None,
        "epochs_trained": outcome.epochs_trained,
        "seconds": outcome.seconds,
        "device": outcome.device or None,
        **_costs(outcome.costs or {}, outcome.interval95),
        **_built(outcome.architecture),
    }


def _built(architecture: Architecture | None) -> dict[str, Any]:
    return {} if architecture is None else _prefixed("architecture", asdict(architecture))


def _costs(
    costs: Mapping[str, float], interval95: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    bounds = {f"{name}_low": pair[0] for name, pair in interval95.items()}
    return {**costs, **bounds, **{f"{name}_high": pair[1] for name, pair in interval95.items()}}


def _cost_types(view: RunView) -> _Types:
    names = [objective.name for objective in view.objectives]
    return {f"{name}{end}": "float64" for name in names for end in ("", "_low", "_high")}


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _value_types(prefix: str, rows: Sequence[_Row]) -> _Types:
    """The type of each column with a prefix, the columns in the order of their names."""
    names = sorted({name for row in rows for name in row if name.startswith(f"{prefix}.")})
    return {name: _type_of(row.get(name) for row in rows) for name in names}


def _type_of(values: Iterable[object]) -> str:
    """The narrowest type of values of which some are missing."""
    found = {type(value) for value in values if value is not None}
    if found == {bool}:
        return "boolean"
    if found == {int}:
        return "Int64"
    if found <= {int, float}:
        return "float64"
    return "string" if found == {str} else "object"


def _frame(rows: Sequence[_Row], types: _Types) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([row.get(name) for row in rows], dtype=column_type)
            for name, column_type in types.items()
        }
    )
