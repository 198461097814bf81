"""The commands `frnas search` and `frnas retrain`: what spends time on workers."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frnas_search.cli.options import (
    DEFAULT_RUNS,
    AcceptShorterLog,
    JsonLogs,
    RunArgument,
    RunsDirectory,
    Verbose,
    prepare_logging,
    print_table,
)
from frnas_search.errors import RunFileError, SearchError

if TYPE_CHECKING:
    from rich.console import Console

    from frnas_search.coordinator.coordinator import StopSignal, Watcher
    from frnas_search.coordinator.executor import Attendance
    from frnas_search.launch.opening import Search

logger = logging.getLogger(__name__)

_STOPPED = 130
_SAME_SIGNAL_SECONDS = 3.0
"""`timeout` and some schedulers send SIGTERM to a process and to its group."""
_EXIT_CODES = {"finished": 0, "stopped": _STOPPED, "failed": 1}

Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Use the workers of this scheduler (host:port or a scheduler file) instead of "
        "starting some here.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Override one value of the run file; may be repeated."
    ),
]


def search_command(
    run_file: Annotated[
        Path | None, typer.Argument(metavar="[RUN.yaml]", help="The run file.")
    ] = None,
    *,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with this run (name or directory) instead."),
    ] = None,
    scheduler: Scheduler = None,
    set_: Set = None,
    virtual_time: Annotated[
        bool,
        typer.Option(
            "--virtual-time",
            help="Hand out results in an order that follows from the seed, however fast workers "
            "are.",
        ),
    ] = False,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="Trials at once in virtual time; by default as many as workers.local.",
        ),
    ] = None,
    runs: RunsDirectory = DEFAULT_RUNS,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the run file, its data and its space.")
    ] = False,
    accept_shorter_log: AcceptShorterLog = False,
    json_logs: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Start a search, or go on with one that ended, was stopped or was killed.

    Ctrl-C stops when the running trials are done; a second one stops at once. Either way
    `frnas search --resume RUN` goes on and loses nothing. With --resume, --set may raise limits:
    --set stop.trials=400.

    Example: frnas search configs/demo.yaml --set stop.trials=50
    """
    if (run_file is None) == (resume is None):
        raise SearchError("give either a run file or --resume RUN; configs/ has run files")
    if accept_shorter_log and resume is None:
        raise SearchError("--accept-shorter-log goes with --resume RUN; leave it out")
    console = prepare_logging(json_logs=json_logs, verbose=verbose)
    from frnas_search.coordinator.coordinator import StopSignal

    overrides = (*_overrides(set_, scheduler), *_in_virtual_time(virtual_time, slots))
    start = (
        _new(run_file, runs, overrides)
        if resume is None
        else _resumed(resume, runs, overrides, accept_shorter_log=accept_shorter_log)
    )
    if check:
        _check(run_file, runs, overrides)
        return
    stop = StopSignal()
    with (
        _watchers(console, start.name, json_logs=json_logs) as watchers,
        start.open(watchers, stop) as search,
        _logged_to_file(search),
    ):
        _listen(stop)
        ended = search.coordinator.run(search.first)
    _report(search, json_logs=json_logs)
    raise typer.Exit(_EXIT_CODES[ended.state])


def retrain_command(
    run: RunArgument,
    *,
    select: Annotated[
        str,
        typer.Option(
            metavar="front|knee|ID[,ID…]",
            help="What to retrain: the whole front, its best compromise, or configurations, also "
            "published ones by name, such as SMAC_301.",
        ),
    ] = "knee",
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Models for each configuration.")
    ] = 3,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="By default the search's maximal epochs."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace models of another length.")
    ] = False,
    scheduler: Scheduler = None,
    set_: Set = None,
    runs: RunsDirectory = DEFAULT_RUNS,
    accept_shorter_log: AcceptShorterLog = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    json_logs: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Train chosen configurations anew on several seeds and measure them on the test split.

    Each model goes to models/<configuration>-s<seed>/ of the run as safetensors with a
    model.json. A command that was interrupted goes on when it is given again.

    Example: frnas retrain demo --select knee --seeds 3 --epochs 27
    """
    prepare_logging(json_logs=json_logs, verbose=verbose)
    from frnas_search.cli.progress import ProgressLog
    from frnas_search.coordinator.coordinator import StopSignal
    from frnas_search.coordinator.retrain import chosen_configurations, retrain_requests
    from frnas_search.launch.opening import retraining
    from results.atomic import write_json_atomically
    from results.retraining import retrained_document
    from results.run_directory import resolve_run

    found = resolve_run(run, runs_directory=runs)
    overrides = _overrides(set_, scheduler)
    stop = StopSignal()
    with retraining(
        found, overrides=overrides, stop=stop, accept_shorter_log=accept_shorter_log
    ) as job:
        _listen(stop)
        chosen = chosen_configurations(job.view, select, job.space)
        n_epochs = epochs or job.view.rungs[-1]
        requests = retrain_requests(
            job.view, chosen, n_seeds=seeds, epochs=n_epochs, overwrite=overwrite
        )
        logger.info(
            "%d models to train: %s, %d seeds, %d epochs",
            len(requests),
            ", ".join(chosen),
            seeds,
            n_epochs,
        )
        progress, keep = ProgressLog(), job.look

        def look(attendance: Attendance) -> None:
            keep(attendance)
            progress.look(attendance)

        job.look = look
        is_done = job.run(requests)
        document = retrained_document(job.view, run=found.name)
    found.models.mkdir(exist_ok=True)
    write_json_atomically(found.models / "retrained.json", document)
    _print_retrained(document, as_json=as_json)
    raise typer.Exit(_STOPPED if not is_done else int(job.n_failed > 0))


@dataclass(frozen=True, slots=True)
class _Start:
    """A search that can be opened, and its run's name."""

    name: str
    open: Callable[[tuple[Watcher, ...], StopSignal], contextlib.AbstractContextManager[Search]]


def _new(run_file: Path | None, runs: Path, overrides: tuple[str, ...]) -> _Start:
    from frnas_search.config.run_file import read_run_file
    from frnas_search.launch.opening import new_search, planned_search

    assert run_file is not None, "checked by the command"
    found = read_run_file(run_file, overrides)
    return _Start(
        found.config.name,
        lambda watchers, stop: new_search(
            planned_search(found, runs), watchers=watchers, stop=stop
        ),
    )


def _resumed(
    text: str, runs: Path, overrides: tuple[str, ...], *, accept_shorter_log: bool
) -> _Start:
    from frnas_search.launch.opening import resumed_search
    from results.run_directory import resolve_run

    run = resolve_run(text, runs_directory=runs)
    return _Start(
        run.name,
        lambda watchers, stop: resumed_search(
            run,
            overrides=overrides,
            watchers=watchers,
            stop=stop,
            accept_shorter_log=accept_shorter_log,
        ),
    )


def _overrides(texts: list[str] | None, scheduler: str | None) -> tuple[str, ...]:
    if scheduler is None:
        return tuple(texts or ())
    if not scheduler.strip():
        raise SearchError("--scheduler is empty; give host:port or a scheduler file")
    return (*(texts or ()), f"workers.scheduler={scheduler}")


def _in_virtual_time(is_virtual: bool, slots: int | None) -> tuple[str, ...]:  # noqa: FBT001
    overrides = ("search.virtual_time=true",) if is_virtual else ()
    return overrides if slots is None else (*overrides, f"search.slots={slots}")


def _check(run_file: Path | None, runs: Path, overrides: tuple[str, ...]) -> None:
    from datetime import UTC, datetime

    from frnas_search.config.reading import without_past_deadline
    from frnas_search.config.requests import preparation_request
    from frnas_search.config.run_file import read_run_file
    from frnas_search.launch.preparation import prepare
    from frnas_search.optimizers.warm_start import describe_warm_start

    if run_file is None:
        raise RunFileError("--check needs a run file")
    found = without_past_deadline(read_run_file(run_file, overrides), now=datetime.now(UTC))
    prepared = prepare(preparation_request(found, runs_directory=runs))
    typer.echo(f"{run_file}: in order; data {prepared.data.pack}")
    if prepared.warm_started is not None:
        typer.echo(f"{run_file}: search.warm_start: {describe_warm_start(prepared.warm_started)}")


@contextlib.contextmanager
def _watchers(console: Console, name: str, *, json_logs: bool) -> Iterator[tuple[Watcher, ...]]:
    """The log, and on a terminal the live display."""
    from frnas_search.cli.progress import LiveWatcher, LogWatcher

    lines = LogWatcher(name)
    if json_logs or not console.is_terminal:
        yield (lines,)
        return
    with LiveWatcher(name, console) as live:
        yield (lines, live)


@contextlib.contextmanager
def _logged_to_file(search: Search) -> Iterator[None]:
    """Keep the log in the run's directory as well."""
    from frnas_search.telemetry import log_file

    handler = log_file(search.run.logs / "coordinator.jsonl")
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _listen(stop: StopSignal) -> None:
    """Let SIGINT and SIGTERM ask to stop, from now on; before, they end the process.

    Whoever sends SIGTERM, as clusters do, kills soon after: then trials save themselves.
    """
    told: list[float] = []

    def end(*_: object) -> None:
        now = time.monotonic()
        if not told or now - told[-1] > _SAME_SIGNAL_SECONDS:
            stop.request(urgently=True)
        told.append(now)

    signal.signal(signal.SIGINT, lambda *_: stop.request())
    signal.signal(signal.SIGTERM, end)


def _report(search: Search, *, json_logs: bool) -> None:
    """Write the report and print the front."""
    from frnas_search.cli.run_tables import pareto_table
    from frnas_search.coordinator.publishing import write_report
    from results.documents import pareto_document

    view = search.coordinator.view
    write_report(search.run, view)
    if not json_logs:
        print_table(pareto_table(pareto_document(view, run=search.run.name, state=view.state)))
    logger.info("front: %s, plot: %s", search.run.pareto, search.run.report / "front.png")


def _print_retrained(document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        return
    from frnas_search.cli.run_tables import retrained_table

    print_table(retrained_table(document))
