"""What the sources made of picture files share: reading, and labels from a file beside them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image

from workers.data.formats.label_table import LabelTable, read_label_table
from workers.data.formats.pairs import index_pairs, joined, parse_lfw_pairs
from workers.data.sources.picture_store import PictureStore
from workers.data.sources.source import FaceRow, FaceSource, clean_label, listed
from workers.errors import DataError


def opener(store: PictureStore) -> Callable[[FaceRow], Image.Image]:
    """What reads the picture that a row's source names in the store."""

    def read(row: FaceRow) -> Image.Image:
        return Image.open(io.BytesIO(store.read(row.source)))

    return read


def require_rows(rows: Sequence[FaceRow], place: str, expected: str) -> None:
    """Refuse a source in which nothing was found.

    Raises:
        DataError: There are no rows; `expected` says what the format's pictures are called.
    """
    if not rows:
        raise DataError(f"{place}: no pictures called like {expected}; check the folder")


def add_labels(faces: FaceSource, labels: Path) -> FaceSource:
    """The source with the columns of a label file put on its rows.

    The file is keyed by picture (column path) or by person (column identity or name). A row that
    it does not list has no known value there; a column that the source has too is replaced.

    Raises:
        DataError: There is no such file, it is no table, or it lists nobody of the source.
        OSError: It cannot be read.
    """
    if not labels.is_file():
        raise DataError(f"{labels}: no such label file; give a CSV of identities and groups")
    table = read_label_table(labels.read_bytes(), str(labels))
    records = _by_key(table)
    unknown = dict.fromkeys(table.group_columns, "")
    rows: list[FaceRow] = []
    used: set[str] = set()
    for row in faces.rows:
        key = row.identity if table.path_column is None else row.source
        if key in records:
            used.add(key)
        rows.append(replace(row, labels={**row.labels, **records.get(key, unknown)}))
    if not used:
        raise DataError(
            f"{labels}: lists nobody of the source; it lists {listed(list(records)[:1]) or 'none'}"
            f", the source holds {faces.rows[0].identity} ({faces.rows[0].source})"
        )
    missing = [key for key in records if key not in used]
    columns = tuple(dict.fromkeys([*faces.columns, *table.group_columns]))
    return replace(
        faces,
        rows=rows,
        columns=columns,
        columns_place=f"{labels}, line 1",
        usual_columns=faces.usual_columns and (*faces.usual_columns, *table.group_columns),
        warnings=(*faces.warnings, *_missing(labels, missing)),
    )


def _missing(labels: Path, missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    return [f"{labels}: {len(missing)} lines have no counterpart in the source: {listed(missing)}"]


def _by_key(table: LabelTable) -> dict[str, Mapping[str, str]]:
    """Key -> the cleaned values of the group columns."""
    key_column = table.path_column or table.identity_column
    assert key_column is not None
    records: dict[str, Mapping[str, str]] = {}
    first_lines: dict[str, int] = {}
    for line, record in zip(table.lines, table.rows, strict=True):
        key = record[key_column]
        values = {name: clean_label(record[name]) for name in table.group_columns}
        if records.setdefault(key, values) != values:
            raise DataError(
                f"{table.place}, line {line}: {key!r} has other values than in line "
                f"{first_lines[key]}; keep one of them"
            )
        first_lines.setdefault(key, line)
    return records


def add_pairs(faces: FaceSource, lists: Mapping[str, bytes]) -> FaceSource:
    """The source with the pairs of LFW-style lists, in which `Name/Name_0001` is a picture.

    Args:
        faces: Pictures in a folder for each person.
        lists: Place, for messages -> content.

    Raises:
        DataError: A list is damaged, or names none of the pictures.
    """
    numbers = {
        f"{row.identity}/{PurePosixPath(row.source).stem}": row.position for row in faces.rows
    }
    found, warnings = [], list(faces.warnings)
    for place, data in lists.items():
        pairs, missing = index_pairs(parse_lfw_pairs(data, place), numbers)
        if not len(pairs):
            raise DataError(
                f"{place}: names no picture of the source; it names {listed(missing[:1])}, the "
                f"source holds {faces.rows[0].source}"
            )
        found.append(pairs)
        if missing:
            warnings.append(
                f"{place}: {len(missing)} pictures are not in the source, and their pairs were "
                f"left out: {listed(missing)}"
            )
    return replace(faces, pairs=joined(found), warnings=tuple(warnings))
