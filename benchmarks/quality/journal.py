"""Runs as lines of JSON, so that a benchmark that was interrupted goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_runs(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a journal; none where there is no file."""
    if not path.exists():
        return []
    return [run for line in path.read_text().splitlines() if (run := _parsed(line)) is not None]


def append_run(path: Path, run: Mapping[str, Any]) -> None:
    """Add one line; after a torn one, on a line of its own."""
    whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    with path.open("a") as file:
        file.write(("" if whole else "\n") + json.dumps(run) + "\n")


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        run = json.loads(line)
    except json.JSONDecodeError:
        return None
    return run if isinstance(run, dict) else None
