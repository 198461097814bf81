"""Pictures in one folder for each person, with a label file; as a folder or a zip archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from workers.data.formats.label_table import LabelTable, read_label_table
from workers.data.sources.picture_store import PictureStore, read_text
from workers.data.sources.source import FaceRow, FaceSource, clean_label, listed, parse_split
from workers.data.sources.stored import opener
from workers.errors import DataError


def read_folder(store: PictureStore, source: str, labels: Path | None) -> FaceSource:
    """Pictures in a folder for each person.

    Args:
        store: What lies in the folder or archive.
        source: The folder or archive itself, for messages.
        labels: The label file; None takes the `labels.csv` inside. It is keyed by picture
            (column path, relative to the label file or to the source) or by person (column
            identity, the name of the folder the pictures lie in).

    Raises:
        DataError: There are no pictures, no labels, or they do not fit together.
        OSError: Something cannot be read.
    """
    if not store.pictures:
        raise DataError(f"{source}: no pictures inside; give a folder or a zip of them")
    table, base = _labels(source, store, labels)
    if table.path_column is None:
        rows, warnings = _rows_by_identity(table, store.pictures)
    else:
        rows, warnings = _rows_by_path(table, store.pictures, base)
    return FaceSource(
        rows=rows,
        columns=table.group_columns,
        read=opener(store),
        warnings=tuple(warnings),
        columns_place=f"{table.place}, line 1",
    )


def _labels(source: str, store: PictureStore, labels: Path | None) -> tuple[LabelTable, str]:
    """The label table and the folder its paths are relative to, `` or ending with `/`."""
    if labels is not None:
        if not labels.is_file():
            raise DataError(f"{labels}: no such label file; give the CSV that labels {source}")
        return read_label_table(labels.read_bytes(), str(labels)), ""
    if not store.label_files:
        raise DataError(
            f"{source}: no labels.csv inside; give one with --labels (column path or identity, "
            "and one for each group, such as gender)"
        )
    name = store.label_files[0]
    place = f"{source}/{name}"
    table = read_label_table(read_text(store, name, place), place)
    return table, name[: len(name) - len(PurePosixPath(name).name)]


def _rows_by_path(
    table: LabelTable, pictures: Sequence[str], base: str
) -> tuple[list[FaceRow], list[str]]:
    assert table.path_column is not None
    by_path = {name: name for name in pictures}
    by_path |= {name.removeprefix(base): name for name in pictures if name.startswith(base)}
    rows: list[FaceRow] = []
    missing: list[str] = []
    seen: set[str] = set()
    for line, record in zip(table.lines, table.rows, strict=True):
        path = _normalised(record[table.path_column])
        name = by_path.get(path)
        place = f"{table.place}, line {line}"
        if not path:
            raise DataError(f"{place}: no picture is named; fill in its path or drop the line")
        if name is None:
            missing.append(path)
        elif name in seen:
            raise DataError(f"{place}: {path} is listed twice; keep one line for it")
        else:
            seen.add(name)
            rows.append(_row(table, place, record, _Face(name, len(rows))))
    if not rows:
        raise DataError(
            f"{table.place}: no listed path is a picture of the source; it lists "
            f"{listed(missing[:1]) or 'none'}, the source holds {pictures[0]}"
        )
    return rows, _unmatched(
        table, missing, [name for name in pictures if name not in seen], "pictures"
    )


def _rows_by_identity(
    table: LabelTable, pictures: Sequence[str]
) -> tuple[list[FaceRow], list[str]]:
    records = _records_by_identity(table)
    rows: list[FaceRow] = []
    unlabelled: list[str] = []
    used: set[str] = set()
    for name in pictures:
        identity = PurePosixPath(name).parent.name
        if identity not in records:
            unlabelled.append(name)
            continue
        used.add(identity)
        line, record = records[identity]
        place = f"{table.place}, line {line}"
        rows.append(_row(table, place, record, _Face(name, len(rows))))
    if not rows:
        raise DataError(
            f"{table.place}: no listed identity is a folder of the source; it lists "
            f"{listed(list(records)[:1]) or 'none'}, the source holds {pictures[0]}"
        )
    missing = [identity for identity in records if identity not in used]
    return rows, _unmatched(table, missing, unlabelled, "identities")


def _records_by_identity(table: LabelTable) -> dict[str, tuple[int, Mapping[str, str]]]:
    """Identity -> its line's number and values."""
    assert table.identity_column is not None
    records: dict[str, tuple[int, Mapping[str, str]]] = {}
    for line, record in zip(table.lines, table.rows, strict=True):
        identity = record[table.identity_column]
        first_line, first = records.setdefault(identity, (line, record))
        if first != record:
            raise DataError(
                f"{table.place}, line {line}: identity {identity!r} is listed twice with "
                f"different values, the first time in line {first_line}; keep one line for it"
            )
    return records


class _Face(NamedTuple):
    """Where a row's picture lies, and the row's number."""

    name: str
    position: int


def _row(table: LabelTable, place: str, record: Mapping[str, str], face: _Face) -> FaceRow:
    name = face.name
    if table.identity_column is None:
        identity, remedy = PurePosixPath(name).parent.name, "put the picture into its folder"
    else:
        identity, remedy = record[table.identity_column], "fill in its identity or drop its line"
    if not identity:
        raise DataError(f"{place}: nobody is named for {name}; {remedy}")
    split = None
    if table.split_column is not None:
        split = parse_split(record[table.split_column], f"{place}: {name}")
    return FaceRow(
        source=name,
        position=face.position,
        identity=identity,
        labels={column: clean_label(record[column]) for column in table.group_columns},
        split=split,
    )


def _unmatched(
    table: LabelTable, missing: Sequence[str], unlabelled: Sequence[str], kind: str
) -> list[str]:
    warnings: list[str] = []
    if missing:
        warnings.append(
            f"{table.place}: {len(missing)} listed {kind} are not in the source: {listed(missing)}"
        )
    if unlabelled:
        warnings.append(
            f"{table.place}: {len(unlabelled)} pictures have no line and were left out: "
            f"{listed(unlabelled)}"
        )
    return warnings


def _normalised(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./").lstrip("/")
