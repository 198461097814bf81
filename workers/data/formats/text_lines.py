"""Lines of a text file with their numbers, whatever system or editor wrote them."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator

from workers.errors import DataError

MAX_LINES = 10_000_000
"""More than any list of people and pictures has; a line costs a few hundred bytes of memory."""


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which all names are compared.

    `é` may be one sign or an `e` and an accent: macOS names folders in the second way, most
    editors write lists in the first, and nobody sees the difference.
    """
    return unicodedata.normalize("NFC", text)


def numbered_lines(
    data: bytes, place: str, *, max_lines: int = MAX_LINES
) -> Iterator[tuple[int, str]]:
    """Number, counted from 1, and text of each line that is not blank, in NFC.

    Args:
        data: UTF-8 with or without a byte order mark; lines end with LF, CRLF or CR.
        place: The file's name, for messages.
        max_lines: As many as such a list may have.

    Raises:
        DataError: It is no UTF-8, or has more lines.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 at byte {error.start}; is it the text file it is named after?"
        ) from None
    for number, line in enumerate(io.StringIO(composed(text), newline=None), start=1):
        if number > max_lines:
            raise DataError(f"{place}: has more than {max_lines:,} lines; split the list")
        if line.strip():
            yield number, line.rstrip("\n")


def short(text: str) -> str:
    """The text for a message: quoted, and cut where it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
