"""The CSV that says who is on which picture and which groups people belong to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from workers.data.formats.text_lines import composed
from workers.errors import DataError

_PATH_NAMES = ("path", "file", "filename", "image", "image_id")
_IDENTITY_NAMES = ("identity", "identity_id", "class_id", "person", "subject")
_SPLIT_NAMES = ("split", "partition")
_MAX_COLUMNS = 1_000
_MAX_VALUES = 20_000_000
# Long enough for the header of any table that is not refused.
_HEAD = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """A label file, read.

    Attributes:
        place: The file's name, for messages.
        rows: Column -> value, both without blanks around them.
        lines: The line of the file, counted from 1, in which each row ends.
        path_column: The column that names a picture, if any.
        identity_column: The column that names a person, if any; one of both is there.
        group_columns: All other columns.
    """

    place: str
    rows: Sequence[Mapping[str, str]]
    lines: Sequence[int]
    path_column: str | None
    identity_column: str | None
    split_column: str | None
    group_columns: tuple[str, ...]


def read_label_table(data: bytes, place: str) -> LabelTable:
    """Read a label file: UTF-8, comma, semicolon or tab, any line ends, quotes where needed.

    Args:
        data: The file's content.
        place: Its name, for messages.

    Raises:
        DataError: It is no such table, or has no column for pictures or people, or none besides.
    """
    header, records = read_table(data, place)
    return _table(header, records, place)


def read_table(data: bytes, place: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and for each row that is not blank its line and its values, without blanks around.

    Args:
        data: The file's content.
        place: Its name, for messages.

    Raises:
        DataError: It is no table, a column occurs twice, or a row has more or fewer values.
    """
    try:
        text = composed(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 at byte {error.start}; save the table as UTF-8"
        ) from None
    if not text.strip():
        raise DataError(f"{place}: empty; give a header line and one line for each image")
    delimiter = max(",;\t", key=next(iter(text[:_HEAD].splitlines())).count)
    records = _records(text, delimiter, place)
    _, header = next(records)
    _check_header(header, place)
    rows: list[tuple[int, list[str]]] = []
    for line, record in records:
        if not any(record):
            continue
        if len(record) != len(header):
            raise DataError(
                f"{place}, line {line}: {len(record)} values for {len(header)} columns; "
                "quote values that contain the separator"
            )
        rows.append((line, record))
        if len(rows) * len(header) > _MAX_VALUES:
            raise DataError(
                f"{place}: has more than {_MAX_VALUES:,} values; leave out columns or split it"
            )
    return header, rows


def _records(text: str, delimiter: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """Each row's line and values, one by one, so that a table too large is found out early."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for record in reader:
            yield reader.line_num, [value.strip() for value in record]
    except csv.Error as error:
        raise DataError(
            f"{place}, line {reader.line_num}: not a CSV table ({error}); check its quotes"
        ) from None


def _check_header(header: Sequence[str], place: str) -> None:
    if len(header) > _MAX_COLUMNS:
        raise DataError(
            f"{place}: has {len(header):,} columns; a table of people has at most "
            f"{_MAX_COLUMNS:,}, so keep the ones that are wanted"
        )
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{place}: column {name!r} occurs twice; rename one")


def _table(
    header: Sequence[str], records: Sequence[tuple[int, Sequence[str]]], place: str
) -> LabelTable:
    path_column = _find(header, _PATH_NAMES)
    identity_column = _find(header, _IDENTITY_NAMES)
    if path_column is None and identity_column is None:
        # Where there is a number or path too, the name only says how people are called.
        identity_column = _find(header, ("name",))
    split_column = _find(header, _SPLIT_NAMES)
    if path_column is None and identity_column is None:
        raise DataError(
            f"{place}: no column 'path' or 'identity'; it has {', '.join(header)}. "
            "Name the column of the image paths 'path' or that of the people 'identity'"
        )
    keys = (path_column, identity_column, split_column)
    groups = tuple(name for name in header if name and name not in keys)
    if not groups:
        raise DataError(f"{place}: no group column; add one such as 'gender'")
    return LabelTable(
        place=place,
        rows=[dict(zip(header, values, strict=True)) for _, values in records],
        lines=[line for line, _ in records],
        path_column=path_column,
        identity_column=identity_column,
        split_column=split_column,
        group_columns=groups,
    )


def _find(header: Sequence[str], names: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in header}
    return next((by_lower[name] for name in names if name in by_lower), None)
