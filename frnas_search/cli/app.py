"""The commands of `frnas`, and how it ends: errors become one sentence and an exit code."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from frnas_search.cli.cluster import scheduler_command, worker_command
from frnas_search.cli.data import data_app
from frnas_search.cli.plan import plan_command
from frnas_search.cli.query import (
    importance_command,
    pareto_command,
    serve_command,
    status_command,
    trials_command,
)
from frnas_search.cli.refusal import INTERRUPTED, refuse
from frnas_search.cli.search import retrain_command, search_command
from frnas_search.cli.space import space_app
from frnas_search.errors import SearchError
from results.errors import ResultsError
from search_space.errors import SearchSpaceError
from workers.errors import WorkerError

_OWN_ERRORS = (SearchError, ResultsError, SearchSpaceError, WorkerError)
# What the operator can mend: a full disk, a missing permission, a read-only place.
_PLACE_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space there",
    errno.EDQUOT: "the disk quota is used up; free some space there",
    errno.EACCES: "access is denied; check its permissions",
    errno.EPERM: "access is denied; check its permissions",
    errno.EROFS: "it is read-only; choose another place",
    errno.ENAMETOOLONG: "its name is too long; choose another",
    errno.EISDIR: "it is a folder, and a file belongs there; move it away",
    errno.EEXIST: "a folder belongs there, and something else is in its place; move it away",
    errno.ELOOP: "it is a link that leads to itself; remove it",
    errno.EIO: "the disk reports an error; check it",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another place",
}

app = typer.Typer(
    name="frnas",
    help="Search neural architectures and hyperparameters for face recognition that is accurate "
    "and fair.\n\nA first look: frnas search configs/demo.yaml, then frnas pareto demo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("plan")(plan_command)
app.command("search")(search_command)
app.command("scheduler")(scheduler_command)
app.command("worker")(worker_command)
app.command("status")(status_command)
app.command("pareto")(pareto_command)
app.command("trials")(trials_command)
app.command("importance")(importance_command)
app.command("retrain")(retrain_command)
app.command("serve")(serve_command)
app.add_typer(data_app)
app.add_typer(space_app)


@app.callback(invoke_without_command=True)
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(f"frnas {installed_version('frnas')}")
        raise typer.Exit


def run() -> None:
    """Run the command line; errors that the input caused end with exit code 2 and no traceback."""
    try:
        app()
    except _OWN_ERRORS as error:
        refuse(str(error))
    except OSError as error:
        remedy = _PLACE_ERRORS.get(error.errno or 0)
        if remedy is None:
            raise
        refuse(f"{error.filename or 'a file of the run'}: {remedy}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
