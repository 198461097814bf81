"""Reading runs from disk, for the command line and the HTTP API alike. Changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from results.errors import (
    LogError,
    ResultsError,
    RunNotFoundError,
    SelectionError,
    ShorterLogError,
)
from results.lock import is_locked
from results.run_directory import RunDirectory, run_directories
from results.sqlite_store import read_only, why_shorter
from results.view import RunState, RunView, fold


def load_view(run: RunDirectory, *, at: int | None = None) -> tuple[RunView, RunState]:
    """The run and what it is doing, also while a coordinator writes to it.

    Args:
        run: The run's folder.
        at: The last event to take into account; all of them by default.

    Returns:
        The view and the state. A log that does not tell its end is `running` while a coordinator
        holds the run, else `stopped`; at an earlier event it is what the log told by then.

    Raises:
        RunNotFoundError: There is no run.
        SelectionError: The log has no event `at`.
        LogError: The log cannot be read, or the run was never started.
    """
    if not run.exists():
        raise RunNotFoundError(f"{run.path}: there is no run; check its name or folder")
    # Asked before reading: a coordinator that lets go in between has logged its end by then.
    locked = is_locked(run.path)
    with read_only(run.events) as log:
        events = log.read()
    if not events and (reason := why_shorter(run.events)) is not None:
        raise ShorterLogError(f"{reason}; restore it from a copy")
    if not events:
        raise LogError(f"{run.path}: the run was never started; start it, or remove the folder")
    if at is not None and not 1 <= at <= len(events):
        raise SelectionError(f"the run has no event {at}; its events are 1 to {len(events)}")
    try:
        view = fold(events[:at])
    except LogError as error:
        raise LogError(f"{run.events}: {error}") from error
    is_now = view.last_sequence == len(events)
    return view, "stopped" if is_now and view.state == "running" and not locked else view.state


def list_runs(runs_directory: Path) -> list[dict[str, Any]]:
    """One row for each run under a folder, by name.

    Each has `name`, `state`, `updated`, `front_size`, `hypervolume` and `error`. A run that cannot
    be read has its reason in `error` and None elsewhere; one that can has None there.
    """
    return [_row(run) for run in run_directories(runs_directory)]


def _row(run: RunDirectory) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": run.name,
        "state": None,
        "updated": None,
        "front_size": None,
        "hypervolume": None,
        "error": None,
    }
    try:
        view, state = load_view(run)
    except ResultsError as error:
        return row | {"error": str(error)}
    return row | {
        "state": state,
        "updated": view.updated,
        "front_size": len(view.front()),
        "hypervolume": view.hypervolume,
    }
