"""Reading runs from disk, for the command line and the HTTP API alike. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from results.errors import ResultsError, RunNotFoundError, ShorterLogError
from results.follow import Followers, opened_fold, state_of
from results.lock import is_locked
from results.run_directory import RunDirectory, run_directories
from results.sqlite_store import read_only, why_shorter
from results.view import RunState, RunView


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
    is_held = is_locked(run.path)
    with read_only(run.events) as log:
        if not log.last_sequence() and (reason := why_shorter(run.events)) is not None:
            raise ShorterLogError(f"{reason}; restore it from a copy")
        view = opened_fold(run, log, at=at).view
        is_now = at is None or view.last_sequence == log.last_sequence()
    return view, state_of(view, is_held=is_held) if is_now else view.state


def list_runs(runs_directory: Path, followers: Followers | None = None) -> list[dict[str, Any]]:
    """One row for each run under a folder, by name.

    Args:
        runs_directory: The folder; need not exist.
        followers: What is followed already, for whoever asks again and again.

    Each has `name`, `state`, `updated`, `front_size`, `hypervolume` and `error`. A run that cannot
    be read has its reason in `error` and None elsewhere; one that can has None there.
    """
    return [_row(run, followers) for run in run_directories(runs_directory)]


def _row(run: RunDirectory, followers: Followers | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": run.name,
        "state": None,
        "updated": None,
        "front_size": None,
        "hypervolume": None,
        "error": None,
    }
    try:
        with reading(run, followers) as (view, state):
            return row | {
                "state": state,
                "updated": view.updated,
                "front_size": view.front_size,
                "hypervolume": view.hypervolume,
            }
    except ResultsError as error:
        return row | {"error": str(error)}


@contextmanager
def reading(
    run: RunDirectory, followers: Followers | None = None, *, at: int | None = None
) -> Iterator[tuple[RunView, RunState]]:
    """`load_view` for the time of the block, from what is followed already where that helps.

    Raises:
        As `load_view`.
    """
    if followers is None or at is not None:
        yield load_view(run, at=at)
        return
    with followers.of(run).reading() as found:
        yield found
