"""The JSON documents that are printed, served and kept, made from a view. Pure.

Each names its schema and version; `results/schemas/` holds the JSON Schema of each. A field is
never given another meaning under the same version.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

from results.errors import SelectionError
from results.events import event_to_json
from results.trial_record import TrialRecord
from results.trials import RungTally, TrialRow, Trials
from results.view import RunState, RunView

if TYPE_CHECKING:
    from results.importance import Importance

Document: TypeAlias = dict[str, Any]

_MOST_IDS = 50_000
"""Trial ids in the fronts of a document's progress."""


def pareto_document(
    view: RunView,
    *,
    run: str,
    state: RunState,
    rung: int | None = None,
    max_costs: Mapping[str, float] | None = None,
) -> Document:
    """The front with its provenance, schema `frnas.pareto/1`.

    Args:
        view: The run, up to the event that the document is about.
        run: The run's name.
        state: What the run is doing, which a view alone cannot know of a killed one.
        rung: The fidelity whose front is wanted; the highest by default.
        max_costs: Objective name -> the largest cost to show. Hides entries of the front; the
            front and its hypervolume stay those of the run, which may have limits of its own.

    Raises:
        SelectionError: The run has no such rung, or no such objective.
    """
    rung = _checked_rung(view, rung)
    limits = _checked_limits(view, max_costs or {})
    front = view.front(rung)
    volume = view.front_volume(rung)
    shown = [trial for trial in front if _within(trial, limits)]
    return {
        "schema": "frnas.pareto/1",
        "run": run,
        "state": state,
        "updated": view.updated,
        "event": view.last_sequence,
        "objectives": _objectives(view),
        "max_costs": dict(view.max_costs),
        "hypervolume": volume.value,
        **_error(volume.standard_error),
        "trials": _counts(view, state),
        "data": _data(view),
        "space": {name: view.opened.space[name] for name in ("preset", "fingerprint")},
        "front": [_front_entry(view, trial) for trial in shown],
    }


def status_document(
    view: RunView, *, run: str, state: RunState, limits: Mapping[str, Any]
) -> Document:
    """How far a run is, schema `frnas.status/1`.

    Args:
        view: The run.
        run: The run's name.
        state: What the run is doing.
        limits: Limits in force, name -> number or None.
    """
    last = view.last_event
    kind = "" if last is None else event_to_json(last.event)["kind"]
    progress, n_left_out = _progress(view)
    return {
        "schema": "frnas.status/1",
        "run": run,
        "state": state,
        "reason": view.reason,
        "started": view.opened.at,
        "updated": view.updated,
        "event": view.last_sequence,
        "last_event": {"event": view.last_sequence, "kind": kind, "time": view.updated},
        "seed": view.opened.seed,
        "objectives": _objectives(view),
        "trials": _counts(view, state),
        "rungs": [_rung(view, state, rung) for rung in range(len(view.rungs))],
        "failures": {str(kind): n for kind, n in sorted(view.failures.items())},
        "best": {objective.name: _best(view, objective.name) for objective in view.objectives},
        "front_size": view.front_size,
        "hypervolume": view.hypervolume,
        **_error(view.hypervolume_error),
        "trials_since_gain": view.trials_since_gain,
        "epochs_spent": view.epochs_spent,
        "gpu_seconds": view.gpu_seconds,
        "wall_seconds": view.wall_seconds,
        "lost_epochs": view.ledger.lost_epochs,
        "slot_seconds": view.ledger.waste()._asdict(),
        "progress": progress,
        **({"progress_left_out": n_left_out} if n_left_out else {}),
        "limits": dict(limits),
    }


def importance_document(
    found: Sequence[Importance], view: RunView, *, run: str, seed: int
) -> Document:
    """What `results.importance` found, schema `frnas.importance/1`."""
    return {
        "schema": "frnas.importance/1",
        "run": run,
        "updated": view.updated,
        "event": view.last_sequence,
        "trials": view.n_finished,
        "seed": seed,
        "objectives": [
            {
                "name": importance.objective,
                "explained": importance.explained,
                "rung": importance.rung,
                "interactions": importance.interactions,
                "hyperparameters": [asdict(share) for share in importance.shares],
            }
            for importance in found
        ],
    }


def trials_document(
    view: RunView,
    *,
    run: str,
    state: RunState | None = None,
    failed_only: bool = False,
    page: Page | None = None,
) -> Document:
    """Trials in the order they were asked, schema `frnas.trials/1`.

    Args:
        view: The run.
        run: The run's name.
        state: What the run is doing, by default what the log tells. Trials without an end are
            `running` while the run is, else `interrupted`: a resumed run hands them out again.
        failed_only: Leave out the trials that have costs or no end.
        page: Some of them; by default all.
    """
    listing = trial_listing(view, run=run, state=state, failed_only=failed_only, page=page)
    return listing.document()


def trial_listing(
    view: RunView,
    *,
    run: str,
    state: RunState | None = None,
    failed_only: bool = False,
    page: Page | None = None,
) -> TrialListing:
    """What `trials_document` is made of, to be written piece by piece; arguments are the same."""
    state, page = state or view.state, page or Page()
    rows = [row for row in view.trials.rows.values() if row.failure or not failed_only]
    end = len(rows) if page.limit is None else page.offset + page.limit
    head = {
        "schema": "frnas.trials/1",
        "run": run,
        "state": state,
        "updated": view.updated,
        "event": view.last_sequence,
        "total": len(rows),
        "offset": page.offset,
        "next_offset": end if end < len(rows) else None,
    }
    return TrialListing(
        head=head, state=state, rows=tuple(rows[page.offset : end]), known=view.trials
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the trials.

    Attributes:
        offset: Trials to leave out at the beginning.
        limit: The most to show; None for all that remain.
    """

    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialListing:
    """A `frnas.trials/1` document whose trials are made when they are asked for.

    Attributes:
        head: The document without its trials.
        state: What the run is doing.
        rows: Of the trials, as of the document's event, whatever the view has learned since.
        known: What makes records of rows.
    """

    head: Document
    state: RunState
    rows: tuple[TrialRow, ...]
    known: Trials

    def trials(self) -> Iterator[Document]:
        """The trials, a few of them in memory at a time."""
        return (_trial(trial, self.state) for trial in self.known.records_of(self.rows))

    def document(self) -> Document:
        """The whole of it."""
        return self.head | {"trials": list(self.trials())}


def pareto_csv(document: Document) -> str:
    """The front of a `frnas.pareto/1` document as a table, one row an entry, with a header row.

    A cost has three columns, NAME, NAME_low and NAME_high; configuration values have one column
    each, `configuration.NAME`, empty where the configuration has no such value.
    """
    names = [objective["name"] for objective in document["objectives"]]
    keys = sorted({key for entry in document["front"] for key in entry["configuration"]})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_csv_header(names, keys))
    writer.writerows(_csv_row(entry, names, keys) for entry in document["front"])
    return text.getvalue()


def runs_document(rows: Sequence[Document]) -> Document:
    """The runs of a folder, schema `frnas.runs/1`, from the rows of `results.query.list_runs`."""
    return {"schema": "frnas.runs/1", "runs": list(rows)}


def _error(standard_error: float | None) -> Document:
    """The error of a hypervolume that is estimated; an exact one has none."""
    return {} if standard_error is None else {"hypervolume_error": standard_error}


def _progress(view: RunView) -> tuple[list[Document], int]:
    """A point wherever the front changed, and the last one; and how many were left out.

    With many objectives nearly every trial is on the front, and all fronts together would grow
    with the square of the trials; then points are left out, evenly.
    """
    n_before, points, n_ids = 0, [], 0
    for point in view.history:
        if point.front.n_changes != n_before:
            points.append(point)
        n_before = point.front.n_changes
    sizes = list(accumulate(1 - len(change.left) for change in view.growing_front.changes))
    n_ids = sum(sizes[point.front.n_changes - 1] for point in points)
    kept = points[:: max(1, math.ceil(n_ids / _MOST_IDS))]
    if view.history and (not kept or kept[-1] is not view.history[-1]):
        kept.append(view.history[-1])
    n_all = len(points) + (not points or points[-1] is not view.history[-1])
    documents = [
        {
            "event": point.sequence,
            "time": point.time,
            "epochs_spent": point.epochs_spent,
            "gpu_seconds": point.gpu_seconds,
            "hypervolume": point.hypervolume,
            "front": list(point.front),
        }
        for point in kept
    ]
    return documents, (n_all - len(kept) if view.history else 0)


def _checked_rung(view: RunView, rung: int | None) -> int:
    if rung is None:
        return view.top_rung
    if not 0 <= rung <= view.top_rung:
        known = ", ".join(f"{i} ({epochs} epochs)" for i, epochs in enumerate(view.rungs))
        raise SelectionError(f"the run has no rung {rung}; its rungs are {known}")
    return rung


def _checked_limits(view: RunView, max_costs: Mapping[str, float]) -> Mapping[str, float]:
    known = [objective.name for objective in view.objectives]
    for name in max_costs:
        if name not in known:
            raise SelectionError(
                f"the run has no objective {name!r}; its objectives are {', '.join(known)}"
            )
    return max_costs


def _within(trial: TrialRecord, max_costs: Mapping[str, float]) -> bool:
    costs = trial.costs or {}
    return all(costs[name] <= most for name, most in max_costs.items())


def _objectives(view: RunView) -> list[Document]:
    return [
        {
            "name": objective.name,
            "unit": objective.unit,
            "direction": "min",
            "reference": objective.reference,
        }
        for objective in view.objectives
    ]


def _counts(view: RunView, state: RunState) -> dict[str, int]:
    return {
        "finished": view.n_finished,
        "failed": view.n_failed,
        "running": view.n_running if state == "running" else 0,
        "lost": len(view.given_up),
    }


def _data(view: RunView) -> Document:
    data = view.opened.data
    groups = data["groups"]
    if not isinstance(groups, Mapping):
        groups = {data["group"]: groups}
    return {
        "digest": data["digest"],
        "split": data["split"],
        "groups": {column: list(labels) for column, labels in groups.items()},
    }


def _front_entry(view: RunView, trial: TrialRecord) -> Document:
    request, outcome = trial.request, trial.outcome
    assert outcome is not None
    names = [objective.name for objective in view.objectives]
    costs = outcome.costs or {}
    return {
        "config_id": request.config_id,
        "trial_id": request.trial_id,
        "epochs": request.epochs,
        "rung": request.rung,
        "seeds": [request.seed],
        "costs": {name: costs[name] for name in names},
        "interval95": {
            name: list(outcome.interval95[name]) for name in names if name in outcome.interval95
        },
        "metrics": dict(outcome.metrics),
        "configuration": dict(request.configuration),
        "architecture": asdict(outcome.architecture) if outcome.architecture else None,
        "gpu_seconds": view.gpu_seconds_of(request.config_id),
        "checkpoint": outcome.checkpoint,
    }


def _rung(view: RunView, state: RunState, rung: int) -> Document:
    tally = view.trials.tallies.get(rung, RungTally())
    n_given_up = sum(view.trials.rows[trial_id].rung == rung for trial_id in view.given_up)
    n_open = tally.n_asked - tally.n_finished - tally.n_failed - n_given_up
    return {
        "rung": rung,
        "epochs": view.rungs[rung],
        "finished": tally.n_finished,
        "failed": tally.n_failed,
        "running": n_open if state == "running" else 0,
        "best": {
            objective.name: tally.best[objective.name][0] if objective.name in tally.best else None
            for objective in view.objectives
        },
    }


def _best(view: RunView, objective: str) -> Document | None:
    place = view.trials.tallies.get(view.top_rung, RungTally()).best.get(objective)
    if place is None:
        return None
    cost, _, trial_id = place
    return {
        "cost": cost,
        "config_id": view.trials.rows[trial_id].config_id,
        "trial_id": trial_id,
    }


def _trial(trial: TrialRecord, state: RunState) -> Document:
    request, outcome = trial.request, trial.outcome
    return {
        "trial_id": request.trial_id,
        "config_id": request.config_id,
        "configuration": dict(request.configuration),
        "rung": request.rung,
        "epochs": request.epochs,
        "seed": request.seed,
        "origin": request.origin,
        "state": _trial_state(trial, state),
        "attempts": trial.attempts,
        "worker": trial.worker,
        "asked": trial.asked_time,
        "told": trial.told_time,
        "costs": None if trial.costs is None else dict(trial.costs),
        "failure": None if trial.failure is None else str(trial.failure),
        "detail": outcome.detail if outcome else trial.given_up,
        "seconds": outcome.seconds if outcome else 0.0,
        "epochs_trained": outcome.epochs_trained if outcome else 0,
        "device": outcome.device if outcome else "",
        "log": list(outcome.log) if outcome else [],
        "losses": [
            {
                "attempt": loss.attempt,
                "failure": str(loss.failure),
                "detail": loss.detail,
                "worker": loss.worker,
                "seconds": loss.seconds,
                "log": list(loss.log),
            }
            for loss in trial.losses
        ],
    }


def _trial_state(trial: TrialRecord, state: RunState) -> str:
    if trial.outcome is None and trial.given_up:
        return "lost"
    if trial.outcome is None:
        return "running" if state == "running" else "interrupted"
    return "finished" if trial.failure is None else "failed"


_CSV_FIELDS = ("config_id", "trial_id", "rung", "epochs", "gpu_seconds")


def _csv_header(names: Sequence[str], keys: Sequence[str]) -> list[str]:
    costs = [column for name in names for column in (name, f"{name}_low", f"{name}_high")]
    return [*_CSV_FIELDS, *costs, *(f"configuration.{key}" for key in keys)]


def _csv_row(entry: Document, names: Sequence[str], keys: Sequence[str]) -> list[Any]:
    costs = []
    for name in names:
        costs += [entry["costs"][name], *entry["interval95"].get(name, ("", ""))]
    values = [entry["configuration"].get(key, "") for key in keys]
    return [*(entry[name] for name in _CSV_FIELDS), *costs, *values]
