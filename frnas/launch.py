"""Starting searches, and going on with them, as the command line does it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from frnas.run import Run, found_run

if TYPE_CHECKING:
    from frnas_search.coordinator.coordinator import StopSignal, Watcher
    from frnas_search.launch.opening import Search

    _Start: TypeAlias = Callable[
        [tuple[Watcher, ...], StopSignal], contextlib.AbstractContextManager[Search]
    ]

_LOGGER = "frnas_search"


def search(
    run_file: str | Path | Mapping[str, Any],
    *,
    runs: str | Path = "runs",
    overrides: Mapping[str, Any] | None = None,
    scheduler: str | None = None,
    progress: bool = True,
) -> Run:
    """Search until a limit of the run file is reached, and return the run.

    Does what `frnas search` does: the same checks before anything is written, the same run
    directory, the same workers, and `resume` goes on with it. Ctrl-C, or a notebook's
    interrupt, stops when the running trials are done and returns the run; a second one stops at
    once. That needs Python's main thread, where signals arrive.

    In a script, call it below `if __name__ == "__main__":`, for workers are processes that import
    the script.

    Args:
        run_file: The path of a run file, or what it would hold; a mapping's relative paths start
            from the current folder, as those of a file do.
        runs: The folder that holds the runs; the run's directory is made in it.
        overrides: Values in place of the run file's, by their path: `{"stop.trials": 50}`.
        scheduler: `host:port` or a scheduler file, to use its workers instead of starting some.
        progress: Write a line for each trial to standard error, unless logging is configured to
            show them already. The lines are logged at level INFO either way.

    Returns:
        The run; its `status().state` is `finished`, `stopped`, or `failed` when it gave up.

    Raises:
        RunFileError: The run file, its data or its space have faults; the message lists them all.
        RunExistsError: There is another run of that name.
        SchedulerUnreachableError: No scheduler answers.
    """
    from frnas_search.config.reading import parse_run_file
    from frnas_search.config.run_file import override, read_run_file
    from frnas_search.launch.opening import new_search, planned_search

    texts = _texts(overrides, scheduler)
    if isinstance(run_file, Mapping):
        found = parse_run_file(override(_plain(run_file), texts), where="the run's mapping")
    else:
        found = read_run_file(Path(run_file), texts)
    return _run(
        found.config.name,
        lambda watchers, stop: new_search(
            planned_search(found, Path(runs)), watchers=watchers, stop=stop
        ),
        progress=progress,
    )


def resume(
    run: str | Path | Run,
    *,
    runs: str | Path = "runs",
    overrides: Mapping[str, Any] | None = None,
    scheduler: str | None = None,
    progress: bool = True,
    accept_shorter_log: bool = False,
) -> Run:
    """Go on with a search that ended, was stopped or was killed, as `frnas search --resume` does.

    Args:
        run: The run, its name or its directory.
        runs: The folder that holds the runs.
        overrides: Other limits or workers than before: `{"stop.trials": 400}`. Only the sections
            `stop`, `failures` and `workers` may change.
        scheduler: As of `search`.
        progress: As of `search`.
        accept_shorter_log: Go on also where the run's log has lost its end, from what is left.

    Returns:
        The run, as `search` does.

    Raises:
        RunNotFoundError: There is no such run.
        RunFileError: An override has faults.
        RunChangedError: It changes what the run was started with, or its data or space changed.
        RunLockedError: A coordinator is at work on the run.
        SchedulerUnreachableError: No scheduler answers.
    """
    from frnas_search.launch.opening import resumed_search

    found = found_run(run.path if isinstance(run, Run) else run, runs=runs)
    texts = _texts(overrides, scheduler)
    return _run(
        found.name,
        lambda watchers, stop: resumed_search(
            found,
            overrides=texts,
            watchers=watchers,
            stop=stop,
            accept_shorter_log=accept_shorter_log,
        ),
        progress=progress,
    )


def _run(name: str, start: _Start, *, progress: bool) -> Run:
    from frnas_search.cli.progress import LogWatcher
    from frnas_search.coordinator.coordinator import StopSignal
    from frnas_search.coordinator.publishing import write_report
    from frnas_search.telemetry import log_file

    stop = StopSignal()
    with _logged(progress=progress), start((LogWatcher(name),), stop) as begun:
        with (
            _handling(logging.getLogger(), log_file(begun.run.logs / "coordinator.jsonl")),
            _stopped_by_ctrl_c(stop),
        ):
            begun.coordinator.run(begun.first)
        write_report(begun.run, begun.coordinator.view)
    return Run(begun.run.path.absolute())


def _texts(overrides: Mapping[str, Any] | None, scheduler: str | None) -> tuple[str, ...]:
    """Overrides as the command line takes them."""
    from frnas_search.config.run_file import override_text

    values = dict(overrides or {})
    if scheduler is not None:
        values["workers.scheduler"] = scheduler
    return tuple(override_text(path, value) for path, value in _plain(values).items())


def _plain(value: Any) -> Any:
    """Values as a run file can hold them: paths as texts, NumPy's values as plain ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


@contextlib.contextmanager
def _logged(*, progress: bool) -> Iterator[None]:
    """Let INFO lines of the search through, and show them where nobody else does."""
    logger = logging.getLogger(_LOGGER)
    level = logger.level
    is_shown = logger.hasHandlers()
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    try:
        if not progress or is_shown:
            yield
            return
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        with _handling(logger, handler):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _handling(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _stopped_by_ctrl_c(stop: StopSignal) -> Iterator[None]:
    """Ctrl-C asks to stop while the block runs; in a thread it stays what it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.request())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
