"""Files of others, read only once it is known that they are files and of what size.

A pipe waits for ever, a device such as /dev/zero has no end, and a size is only a claim.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from workers.errors import DataError

MAX_LIST_BYTES = 1 << 28
"""Of lists for people; the longest there are, a line for each of three million pictures, take less
than this."""

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class UnfitFileError(OSError):
    """What lies there is no file, or too large a one; the text says so without the name."""


def kind_of(mode: int) -> str:
    """What the mode of something that is no file says that it is."""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The content of a file that is one and has at most so many bytes.

    Raises:
        UnfitFileError: It is a pipe, a device, a socket or a folder, or larger.
        OSError: It cannot be read.
    """
    # Looked at before it is opened, for opening alone can wait or wind a tape.
    _check(path.stat(), max_bytes)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        _check(os.fstat(descriptor), max_bytes)
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UnfitFileError(_too_large(len(data), max_bytes))
    return data


def _check(found: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnfitFileError(f"{kind_of(found.st_mode)}, not a file")
    if found.st_size > max_bytes:
        raise UnfitFileError(_too_large(found.st_size, max_bytes))


def _too_large(n_bytes: int, max_bytes: int) -> str:
    return f"{n_bytes:,} bytes, larger than {max_bytes >> 20} MiB"


def read_list(path: Path, *, max_bytes: int = MAX_LIST_BYTES) -> bytes:
    """The content of a list that somebody named.

    Raises:
        DataError: It is no file, too large a one, or cannot be read.
    """
    try:
        return read_bounded(path, max_bytes)
    except UnfitFileError as error:
        raise DataError(
            f"{path}: {error}, so no list of this kind; check the path or split the list"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def check_regular(path: Path, remedy: str) -> None:
    """Refuse what is neither a file nor a folder, before anything opens it.

    Raises:
        DataError: It is a pipe, a device or a socket; `remedy` ends the sentence.
        OSError: It cannot be looked at.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: {kind_of(mode)}, not a file; {remedy}")
