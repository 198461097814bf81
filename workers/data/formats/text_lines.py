"""Lines of a text file with their numbers, whatever system or editor wrote them."""

from __future__ import annotations

import io
from collections.abc import Iterator

from workers.errors import DataError


def numbered_lines(data: bytes, place: str) -> Iterator[tuple[int, str]]:
    """Number, counted from 1, and text of each line that is not blank.

    Args:
        data: UTF-8 with or without a byte order mark; lines end with LF, CRLF or CR.
        place: The file's name, for messages.

    Raises:
        DataError: It is no UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 at byte {error.start}; is it the text file it is named after?"
        ) from None
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if line.strip():
            yield number, line.rstrip("\n")


def short(text: str) -> str:
    """The text for a message: quoted, and cut where it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
