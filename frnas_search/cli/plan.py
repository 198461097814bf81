"""The command `frnas plan`: what a run file will take, before it is spent. Loads no torch."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frnas_search.cli.options import DEFAULT_RUNS, RunsDirectory, print_table
from frnas_search.errors import SearchError

if TYPE_CHECKING:
    from frnas_search.plan.pace import Pace

_N_SAMPLES = 1000


def plan_command(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    *,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Workers side by side; by default the run file's workers.local.",
        ),
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Take the time of trials from this run."),
    ] = None,
    seconds_per_epoch: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="The time of an epoch on one worker."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="A.B=C", help="Override one value of the run file; may be repeated."
        ),
    ] = None,
    runs: RunsDirectory = DEFAULT_RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a search will do and take: brackets, epochs, GPU-hours, checkpoint disk.

    Nothing is started. Hours need to know how long an epoch takes: from an earlier run, or as
    given. Failures are not foreseen; each makes the search a little cheaper.

    Example: frnas plan configs/demo.yaml --workers 8 --from demo
    """
    from frnas_search.cli.plan_tables import bracket_table, plan_table
    from frnas_search.config.requests import preparation_request
    from frnas_search.config.run_file import read_run_file
    from frnas_search.launch.preparation import prepare
    from frnas_search.plan.forecast import forecast
    from frnas_search.plan.plan import Plan, plan_document, sampled_sizes
    from results.clock import utc_now

    pace = _pace(from_run, seconds_per_epoch, runs)
    found = read_run_file(run_file, tuple(set_ or ()))
    prepared = prepare(preparation_request(found, runs_directory=runs))
    config = found.config
    n_workers = workers or config.workers.local
    fidelity = config.fidelity.fidelity()
    plan = Plan(
        run=config.name,
        fidelity=fidelity,
        limits=config.stop.model_dump(),
        forecast=forecast(
            fidelity,
            config.stop.limits(),
            pace=pace,
            n_workers=n_workers,
            now=datetime.fromisoformat(utc_now()),
        ),
        pace=pace,
        n_workers=n_workers,
        sizes=sampled_sizes(
            prepared,
            config.training.settings(),
            config.constraints.limits(),
            n_samples=_N_SAMPLES,
            seed=config.seed,
        ),
        checkpoint_gb=config.workers.checkpoint_gb,
    )
    document = plan_document(plan)
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_table(bracket_table(document), plan_table(document))


def _pace(from_run: str | None, seconds_per_epoch: float | None, runs: Path) -> Pace | None:
    from frnas_search.plan.pace import Pace
    from frnas_search.plan.plan import pace_of_run
    from results.query import load_view
    from results.run_directory import resolve_run

    if from_run is not None and seconds_per_epoch is not None:
        raise SearchError("give either --from or --seconds-per-epoch, not both")
    if from_run is not None:
        found = resolve_run(from_run, runs_directory=runs)
        return pace_of_run(load_view(found)[0], found.name)
    if seconds_per_epoch is None:
        return None
    if not 0.0 < seconds_per_epoch <= 1e9:
        raise SearchError(
            f"--seconds-per-epoch is {seconds_per_epoch:g}; give a number above 0, such as 12.5, "
            "and up to a billion, which is thirty years"
        )
    return Pace(per_epoch=seconds_per_epoch)
