"""Pictures in one folder for each person, with a label file; as a folder or a zip archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from workers.data.formats.bounded_file import read_list
from workers.data.formats.label_table import LabelTable, read_label_table
from workers.data.packs.account import Gap, Kind, listed
from workers.data.sources.picture_store import PictureStore, read_text
from workers.data.sources.source import FaceRow, FaceSource, clean_label, parse_split
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
        matched = _rows_by_identity(table, store.pictures)
    else:
        matched = _rows_by_path(table, store.pictures, base)
    # The list inside is the set's own; one from elsewhere may be of a part of it, or of more.
    kind: Kind = "missing" if labels is None else "chosen"
    unlabelled = Gap(reason=f"have no line in {_name(table)}", names=matched.unlabelled, kind=kind)
    listed_only = Gap(
        reason=f"are listed in {_name(table)} and not in the source",
        names=matched.missing,
        kind=kind,
    )
    return FaceSource(
        rows=matched.rows,
        columns=table.group_columns,
        read=opener(store),
        warnings=(*_unmatched(table, matched), *_unread_pairs(store, source)),
        columns_place=f"{table.place}, line 1",
        gaps=(unlabelled,) if table.path_column is None else (unlabelled, listed_only),
        people_gaps=_people_gaps(table, matched, unlabelled, listed_only),
    )


class _Matched(NamedTuple):
    """Pictures and lines of the label file put together, and what is left of either.

    Attributes:
        missing: Listed and not in the source, pictures or people as the file is keyed.
        missing_people: Whose they are, as far as the file says.
        unlabelled: Pictures without a line.
    """

    rows: list[FaceRow]
    missing: list[str]
    missing_people: list[str]
    unlabelled: list[str]


def _people_gaps(
    table: LabelTable, matched: _Matched, unlabelled: Gap, listed_only: Gap
) -> tuple[Gap, ...]:
    gaps = [replace(listed_only, names=matched.missing_people)]
    # With both columns only the lines say who is on a picture.
    if table.path_column is None or table.identity_column is None:
        folders = dict.fromkeys(PurePosixPath(name).parent.name for name in matched.unlabelled)
        gaps.append(replace(unlabelled, names=[name for name in folders if name]))
    return tuple(gaps)


def _name(table: LabelTable) -> str:
    return PurePosixPath(table.place).name


def _unread_pairs(store: PictureStore, source: str) -> list[str]:
    """A list of pairs is read with the set that it belongs to, or when it is named."""
    found = [
        name
        for name in store.files
        if PurePosixPath(name).name.lower() == "pairs.txt" or name.endswith("_pairs.txt")
    ]
    if not found:
        return []
    return [
        f"{source}: {listed(found)} is not read in a folder with a label file of its own; name it "
        "with --pairs to verify these pairs"
    ]


def _labels(source: str, store: PictureStore, labels: Path | None) -> tuple[LabelTable, str]:
    """The label table and the folder its paths are relative to, `` or ending with `/`."""
    if labels is not None:
        if not labels.exists():
            raise DataError(f"{labels}: no such label file; give the CSV that labels {source}")
        return read_label_table(read_list(labels), str(labels)), ""
    if not store.label_files:
        raise DataError(
            f"{source}: no labels.csv inside; give one with --labels (column path or identity, "
            "and one for each group, such as gender)"
        )
    name = store.label_files[0]
    place = f"{source}/{name}"
    table = read_label_table(read_text(store, name, place), place)
    return table, name[: len(name) - len(PurePosixPath(name).name)]


def _rows_by_path(table: LabelTable, pictures: Sequence[str], base: str) -> _Matched:
    assert table.path_column is not None
    by_path = {name: name for name in pictures}
    by_path |= {name.removeprefix(base): name for name in pictures if name.startswith(base)}
    rows: list[FaceRow] = []
    missing: dict[str, str] = {}
    seen: set[str] = set()
    for line, record in zip(table.lines, table.rows, strict=True):
        path = _normalised(record[table.path_column])
        name = by_path.get(path)
        place = f"{table.place}, line {line}"
        if not path:
            raise DataError(f"{place}: no picture is named; fill in its path or drop the line")
        if name is None:
            missing[path] = _person(table, record, path)
        elif name in seen:
            raise DataError(f"{place}: {path} is listed twice; keep one line for it")
        else:
            seen.add(name)
            rows.append(_row(table, place, record, _Face(name, len(rows))))
    if not rows:
        raise DataError(
            f"{table.place}: no listed path is a picture of the source; it lists "
            f"{listed(list(missing)[:1]) or 'none'}, the source holds {pictures[0]}"
        )
    return _Matched(
        rows=rows,
        missing=list(missing),
        missing_people=[person for person in dict.fromkeys(missing.values()) if person],
        unlabelled=[name for name in pictures if name not in seen],
    )


def _person(table: LabelTable, record: Mapping[str, str], path: str) -> str:
    if table.identity_column is None:
        return PurePosixPath(path).parent.name
    return record[table.identity_column]


def _rows_by_identity(table: LabelTable, pictures: Sequence[str]) -> _Matched:
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
    return _Matched(rows=rows, missing=missing, missing_people=missing, unlabelled=unlabelled)


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
    identity, remedy = _person(table, record, name), "fill in its identity or drop its line"
    if table.identity_column is None:
        remedy = "put the picture into its folder"
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


def _unmatched(table: LabelTable, matched: _Matched) -> list[str]:
    warnings: list[str] = []
    if matched.missing:
        kind = "identities" if table.path_column is None else "pictures"
        warnings.append(
            f"{table.place}: {len(matched.missing)} listed {kind} are not in the source: "
            f"{listed(matched.missing)}"
        )
    if matched.unlabelled:
        warnings.append(
            f"{table.place}: {len(matched.unlabelled)} pictures have no line and were left out: "
            f"{listed(matched.unlabelled)}"
        )
    return warnings


def _normalised(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./").lstrip("/")
