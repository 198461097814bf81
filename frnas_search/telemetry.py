"""Logging, configured once per process: for people, or as JSON lines for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from rich.logging import RichHandler

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

# What passes through `extra=` into the JSON lines.
CONTEXT_FIELDS = ("run", "trial_id", "config_id", "event")
_NOISY = ("distributed", "bokeh", "tornado", "smac", "asyncio", "matplotlib")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields of the context."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        time = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in CONTEXT_FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(
    *,
    console: Console,
    json_logs: bool = False,
    verbose: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Send the log to standard error: JSON lines, or a form for people.

    Args:
        console: Of standard error; a live display on it is not torn by log lines.
        json_logs: One JSON object a line.
        verbose: Debug lines too.
        stream: Where lines go when the console is no terminal; standard error by default.
    """
    handler: logging.Handler
    if json_logs:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(JsonFormatter())
    elif console.is_terminal:
        handler = RichHandler(console=console, show_path=False, markup=False, highlighter=None)
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="%H:%M:%S"))
    else:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    quiet_libraries()


def is_logging_json() -> bool:
    """Whether this process's log goes out as JSON lines."""
    handlers = logging.getLogger().handlers
    return any(isinstance(handler.formatter, JsonFormatter) for handler in handlers)


def quiet_libraries() -> None:
    """Silence libraries: what matters of theirs, such as a lost worker, is reported by us.

    Some bring handlers of their own along, whose lines would be in no form of ours.
    """
    for name in _NOISY:
        library = logging.getLogger(name)
        library.setLevel(logging.CRITICAL)
        library.handlers.clear()
        library.propagate = True
        for part in _loggers_within(name):
            part.setLevel(logging.NOTSET)  # Dask gives its client's a level of its own


def _loggers_within(name: str) -> list[logging.Logger]:
    """Those that are there below a library's own."""
    known = list(logging.Logger.manager.loggerDict.items())
    return [
        found
        for key, found in known
        if key.startswith(f"{name}.") and isinstance(found, logging.Logger)
    ]


def log_file(path: Path) -> logging.Handler:
    """A handler that appends JSON lines to the file at `path`; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    return handler
