"""Tables and JSON on standard output."""

from __future__ import annotations

import sys


def print_table(*tables: object) -> None:
    """Print tables to standard output, as wide as they need to be where it is no terminal."""
    from rich.console import Console

    console = Console(
        width=None if sys.stdout.isatty() else 200,
        # What is printed holds brackets and colons of its own, in paths and messages.
        markup=False,
        emoji=False,
        highlight=False,
    )
    for table in tables:
        console.print(table)
