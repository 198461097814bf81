"""How long the list of a zip archive's members is, read before the list, which is held in memory.

References:
    PKWARE, APPNOTE.TXT - .ZIP File Format Specification, sections 4.3.14 and 4.3.16.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from workers.errors import DataError

MAX_DIRECTORY_BYTES = 1 << 29
"""Ten million members at the least; one takes ten times as much memory as it takes here."""

_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
# The end itself, a comment of any length, and the end of large archives before it.
_TAIL = 22 + 65_535 + 76
_SIZE_AT, _SIZE64_AT = 12, 40
_IN_END64 = 0xFFFF_FFFF


def check_directory(source: Path) -> None:
    """Refuse an archive with more members than any data set has.

    Raises:
        DataError: Its list of members is longer than 512 MiB.
        OSError: It cannot be read.
    """
    with source.open("rb") as stream:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(max(length - _TAIL, 0))
        tail = stream.read()
    n_bytes = _number(tail, tail.rfind(_END), _SIZE_AT, "<I")
    if n_bytes == _IN_END64:
        n_bytes = _number(tail, tail.rfind(_END64), _SIZE64_AT, "<Q")
    if n_bytes > MAX_DIRECTORY_BYTES:
        raise DataError(
            f"{source}: the list of its members takes {n_bytes:,} bytes, more than "
            f"{MAX_DIRECTORY_BYTES >> 20} MiB; unpack it and give the folder"
        )


def _number(tail: bytes, begin: int, at: int, form: str) -> int:
    """The number there, 0 where there is none: whoever opens the archive says what is wrong."""
    end = begin + at + struct.calcsize(form)
    if begin < 0 or end > len(tail):
        return 0
    number: int = struct.unpack_from(form, tail, begin + at)[0]
    return number
