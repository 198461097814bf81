"""Options that several commands share, and what they set up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frnas_search.cli.printing import print_table as print_table
from frnas_search.errors import SearchError
from results.run_directory import RUNS_DIRECTORY

if TYPE_CHECKING:
    from rich.console import Console

JsonLogs = Annotated[
    bool, typer.Option("--json-logs", help="Log as JSON lines on standard error.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]
RunsDirectory = Annotated[
    Path, typer.Option("--runs", metavar="DIR", help="Folder that holds the runs.")
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's name, or the path of its directory.")
]
AcceptShorterLog = Annotated[
    bool,
    typer.Option(
        "--accept-shorter-log",
        help="Go on although the run's event log has lost its end, from what is left of it.",
    ),
]
DEFAULT_RUNS = RUNS_DIRECTORY


def prepare_logging(*, json_logs: bool, verbose: bool) -> Console:
    """Configure logging and return the console of standard error."""
    from rich.console import Console

    from frnas_search.telemetry import configure_logging

    console = Console(stderr=True, markup=False, emoji=False)
    configure_logging(console=console, json_logs=json_logs, verbose=verbose)
    return console


def require_host(host: str) -> None:
    """Refuse an empty address, which servers take for all the machine's addresses.

    Raises:
        SearchError: It is empty.
    """
    if not host.strip():
        raise SearchError("--host is empty; give an address, such as 127.0.0.1")


def warn(message: str) -> None:
    """Write a warning to standard error, where it is in nobody's way who reads the output."""
    sys.stderr.write(f"frnas: warning: {message}\n")
