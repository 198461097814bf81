"""Writing a file whole or not at all, so that no reader and no crash ever meets half of one."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_NAME = re.compile(r"\..+\.[0-9a-f]{32}\.tmp(\..*)?", re.DOTALL)
"""What `replacing` calls a file that is being written, and nobody else anything."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    The temporary file keeps the suffix of `path`, for writers that choose a format by it. When the
    block ends, the file and then its folder are synced to disk; when anything raises, the
    temporary file is removed and `path` stays as it was.

    Args:
        path: The file to be written; its folder must exist.

    Raises:
        FileNotFoundError: The folder does not exist, or the block did not write the file.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the file or folder at `path` is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`, replacing what was there."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with its newlines unchanged, replacing what was there."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_json_atomically(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, replacing what was there.

    Raises:
        TypeError: `value` holds something JSON does not know.
        ValueError: `value` holds NaN or infinity, which other readers of JSON refuse.
    """
    write_bytes_atomically(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """`value` as indented JSON in UTF-8, as every JSON file of a run is written.

    Raises:
        TypeError: `value` holds something JSON does not know.
        ValueError: `value` holds NaN or infinity, which other readers of JSON refuse.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")
