"""The commands that look at runs: `frnas pareto`, `status`, `trials`, `importance`, `serve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from frnas_search.cli.options import (
    DEFAULT_RUNS,
    JsonLogs,
    RunArgument,
    RunsDirectory,
    Verbose,
    prepare_logging,
    print_table,
    require_host,
    warn,
)
from frnas_search.errors import PortInUseError
from results.errors import RunNotFoundError

if TYPE_CHECKING:
    from results.run_directory import RunDirectory
    from results.view import RunView


def pareto_command(
    run: RunArgument,
    *,
    form: Annotated[
        Literal["table", "json", "csv"],
        typer.Option("--format", help="How to print the front."),
    ] = "table",
    maxima: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="COST=VALUE",
            help="Hide entries that cost more; may be given several times.",
        ),
    ] = None,
    at: Annotated[
        int | None, typer.Option(metavar="EVENT", help="The front as of this event of the log.")
    ] = None,
    rung: Annotated[
        int | None, typer.Option(help="The front of this rung, 0 the cheapest; default the top.")
    ] = None,
    groups: Annotated[
        bool, typer.Option("--groups", help="Also a table of each group's error and rank.")
    ] = False,
    runs: RunsDirectory = DEFAULT_RUNS,
) -> None:
    """Print a run's Pareto front, also while the search is running.

    Example: frnas pareto demo --format json --max error=0.3
    """
    from results.documents import pareto_csv, pareto_document
    from results.query import load_view
    from results.run_directory import resolve_run
    from results.selection import max_costs

    found = resolve_run(run, runs_directory=runs)
    view, state = load_view(found, at=at)
    limits = max_costs(maxima or [])
    document = pareto_document(view, run=found.name, state=state, rung=rung, max_costs=limits)
    _warn_of_shorter_log(found, document)
    if form == "json":
        _print_json(document)
    elif form == "csv":
        typer.echo(pareto_csv(document), nl=False)
    else:
        from frnas_search.cli.run_tables import groups_table, pareto_table

        print_table(pareto_table(document), *([groups_table(document)] if groups else []))
        if not document["front"]:
            typer.echo(_why_empty(view, hides=bool(limits)))


def status_command(
    run: RunArgument,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs: RunsDirectory = DEFAULT_RUNS,
) -> None:
    """Print how far a run is: trials, rungs, failures, best costs, what was spent.

    Example: frnas status demo --json
    """
    from frnas_search.cli.glance import print_status

    print_status(run, as_json=as_json, runs=runs)


def trials_command(
    run: RunArgument,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only trials that failed.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most trials to print; by default all.")
    ] = None,
    offset: Annotated[int, typer.Option(min=0, help="Trials to leave out at the beginning.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs: RunsDirectory = DEFAULT_RUNS,
) -> None:
    """Print every trial of a run with its costs or the reason of its failure.

    With --failed also where each failed, on which attempt, and the last lines of its log.

    Example: frnas trials demo --failed --limit 20
    """
    from results.documents import Page, trial_listing
    from results.query import load_view
    from results.run_directory import resolve_run
    from results.streams import json_pieces

    found = resolve_run(run, runs_directory=runs)
    view, state = load_view(found)
    listing = trial_listing(
        view,
        run=found.name,
        state=state,
        failed_only=failed,
        page=Page(offset=offset, limit=limit),
    )
    if as_json:
        for piece in json_pieces(listing.head, "trials", listing.trials(), indent=2):
            typer.echo(piece, nl=False)
        typer.echo()
    else:
        from frnas_search.cli.run_tables import failures_table, trials_table

        document = listing.document()
        print_table(failures_table(document) if failed else trials_table(document))


def importance_command(
    run: RunArgument,
    *,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Of the forests; the run's by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs: RunsDirectory = DEFAULT_RUNS,
) -> None:
    """Print which hyperparameters each objective depends on, by a forest over finished trials.

    Example: frnas importance demo
    """
    from results.documents import importance_document
    from results.importance import importances
    from results.query import load_view
    from results.run_directory import resolve_run

    found = resolve_run(run, runs_directory=runs)
    view, _ = load_view(found)
    used = view.opened.seed if seed is None else seed
    document = importance_document(importances(view, seed=used), view, run=found.name, seed=used)
    if as_json:
        _print_json(document)
    else:
        from frnas_search.cli.run_tables import importance_table

        print_table(importance_table(document))


def serve_command(
    runs_directory: Annotated[
        Path, typer.Argument(metavar="RUNS_DIR", help="Folder that holds the runs.")
    ] = DEFAULT_RUNS,
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; only this machine unless told otherwise.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    json_logs: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Serve runs as JSON over HTTP, read only; /docs describes it. Ctrl-C ends it.

    It has no password: whoever reaches the port can read the runs.

    Example: frnas serve runs --port 8080
    """
    require_host(host)
    if not runs_directory.is_dir():
        raise RunNotFoundError(f"{runs_directory}: no such folder; give the one that holds runs")
    prepare_logging(json_logs=json_logs, verbose=verbose)
    _serve(runs_directory, host, port)


def _serve(runs_directory: Path, host: str, port: int) -> None:
    import contextlib
    import logging
    import socket

    import uvicorn

    from frnas_search.api import create_app

    # Bound here, not by uvicorn, which reports a taken port by exiting on its own.
    with contextlib.closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise PortInUseError(
                f"{host}:{port}: cannot listen there ({error.strerror}); "
                "choose another --port or --host"
            ) from error
        address = "http://{}:{}".format(*listener.getsockname())
        logging.getLogger(__name__).info("serving %s at %s", runs_directory, address)
        config = uvicorn.Config(create_app(runs_directory), log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


def _warn_of_shorter_log(run: RunDirectory, document: dict[str, Any]) -> None:
    """Say that the log has lost its end, on standard error and in the document."""
    from results.sqlite_store import why_shorter

    reason = why_shorter(run.events)
    if reason is not None:
        document["log_warning"] = reason
        warn(reason)


def _why_empty(view: RunView, *, hides: bool) -> str:
    if hides and view.front():
        return f"--max hides all {len(view.front())} points of the front"
    if view.finished_at(view.top_rung):
        return view.why_no_front
    epochs = view.rungs[-1]
    return f"no trial has finished {epochs} epochs, the highest rung, yet; try --rung 0"


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
