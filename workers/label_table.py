"""The CSV that says who is on which picture and which groups people belong to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.errors import DataError

_PATH_NAMES = ("path", "file", "filename", "image", "image_id")
_IDENTITY_NAMES = ("identity", "identity_id", "class_id", "person", "subject")
_SPLIT_NAMES = ("split", "partition")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """A label file, read.

    Attributes:
        place: The file's name, for messages.
        rows: Column -> value, both without blanks around them.
        path_column: The column that names a picture, if any.
        identity_column: The column that names a person, if any; one of both is there.
        group_columns: All other columns.
    """

    place: str
    rows: Sequence[Mapping[str, str]]
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
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 at byte {error.start}; save the table as UTF-8"
        ) from None
    if not text.strip():
        raise DataError(f"{place}: empty; give a header line and one line for each image")
    delimiter = max(",;\t", key=text.splitlines()[0].count)
    lines = io.StringIO(text, newline="")
    try:
        records = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f"{place}: not a CSV table ({error}); check its quotes") from None
    header = [name.strip() for name in records[0]]
    _check_header(header, place)
    return _table(header, _rows(header, records, place), place)


def _check_header(header: Sequence[str], place: str) -> None:
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{place}: column {name!r} occurs twice; rename one")


def _rows(
    header: Sequence[str], records: Sequence[Sequence[str]], place: str
) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for number, record in enumerate(records[1:], start=2):
        if not any(value.strip() for value in record):
            continue
        if len(record) != len(header):
            raise DataError(
                f"{place}: row {number} has {len(record)} values for {len(header)} columns; "
                "quote values that contain the separator"
            )
        rows.append({name: value.strip() for name, value in zip(header, record, strict=True)})
    return rows


def _table(header: Sequence[str], rows: Sequence[Mapping[str, str]], place: str) -> LabelTable:
    path_column = _find(header, _PATH_NAMES)
    identity_column = _find(header, _IDENTITY_NAMES)
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
        rows=rows,
        path_column=path_column,
        identity_column=identity_column,
        split_column=split_column,
        group_columns=groups,
    )


def _find(header: Sequence[str], names: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in header}
    return next((by_lower[name] for name in names if name in by_lower), None)
