"""What the sources made of picture files share: reading, and labels from a file beside them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image

from workers.data.formats.bounded_file import read_list
from workers.data.formats.label_table import LabelTable, read_label_table
from workers.data.formats.pairs import PairList, dealt_folds, index_pairs, joined, parse_lfw_pairs
from workers.data.packs.account import Gap, listed
from workers.data.sources.picture_store import PictureStore
from workers.data.sources.source import FaceRow, FaceSource, clean_label
from workers.errors import DataError


def opener(store: PictureStore) -> Callable[[FaceRow], Image.Image]:
    """What reads the picture that a row's source names in the store."""

    def read(row: FaceRow) -> Image.Image:
        return Image.open(io.BytesIO(store.read(row.source)))

    return read


def are_mostly(pictures: Sequence[str], is_of_set: Callable[[str], bool]) -> bool:
    """Whether half of the names are a data set's, for stray files must not hide it."""
    n_of_set = sum(map(is_of_set, pictures))
    return n_of_set > 0 and 2 * n_of_set >= len(pictures)


def odd_names(store: PictureStore, rows: Sequence[FaceRow], set_name: str) -> Gap:
    """The pictures that no row was made of, for they are not called like the data set's."""
    known = {row.source for row in rows}
    return Gap(
        reason=f"have no name of {set_name}",
        names=[name for name in store.pictures if name not in known],
        remedy="--format folder with --labels packs pictures of any name",
    )


def with_odd_names(faces: FaceSource, odd: Gap) -> FaceSource:
    """The source with a warning about them, and with them in its account.

    Whether a folder of such a name is a person nobody knows, so none is counted.
    """
    if not odd.names:
        return faces
    return replace(faces, warnings=(*faces.warnings, odd.sentence()), gaps=(*faces.gaps, odd))


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
    if not labels.exists():
        raise DataError(f"{labels}: no such label file; give a CSV of identities and groups")
    table = read_label_table(read_list(labels), str(labels))
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
        people_gaps=(*faces.people_gaps, *_missing_people(labels, missing, table)),
    )


def _missing_people(labels: Path, missing: Sequence[str], table: LabelTable) -> list[Gap]:
    """Of a file beside the source, which may be of a larger set."""
    if table.path_column is not None:
        return []
    reason = f"are listed in {labels.name} and have no picture"
    return [Gap(reason=reason, names=missing, kind="chosen")]


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
    found, warnings, lost = [], list(faces.warnings), list(faces.pair_gaps)
    for place, data in lists.items():
        named = parse_lfw_pairs(data, place)
        pairs, missing = index_pairs(named, numbers)
        if not len(pairs):
            raise DataError(
                f"{place}: names no picture of the source; it names {listed(missing[:1])}, the "
                f"source holds {faces.rows[0].source}"
            )
        absent = frozenset(missing)
        lost.append(
            Gap(
                reason="have a picture that is not in the source",
                names=[
                    f"{first} {second}"
                    for first, second in zip(named.first, named.second, strict=True)
                    if first in absent or second in absent
                ],
            )
        )
        if missing:
            warnings.append(
                f"{place}: {len(missing)} pictures are not in the source, and their pairs were "
                f"left out: {listed(missing)}"
            )
        found.append(pairs)
    with_pairs = replace(
        faces, pairs=joined(found), warnings=tuple(warnings), pair_gaps=tuple(lost)
    )
    return sound_pairs(with_pairs, ", ".join(lists))


def sound_pairs(faces: FaceSource, place: str) -> FaceSource:
    """The source without pairs of a picture with itself, and with folds to verify in.

    Such a pair is always right and raises every accuracy. Pairs of one fold cannot be verified,
    for a threshold is chosen on other folds: they are dealt into ten, each kind alike.

    Args:
        faces: With pairs.
        place: Where they come from, for messages.

    Raises:
        DataError: No pair is left.
    """
    assert faces.pairs is not None
    pairs, warnings = faces.pairs, list(faces.warnings)
    is_itself = pairs.first == pairs.second
    sources = {row.position: row.source for row in faces.rows}
    itself = Gap(
        reason="are of a picture with itself",
        names=[sources[position] for position in pairs.first[is_itself].tolist()],
    )
    if itself.names:
        warnings.append(f"{place}: {itself.sentence('pairs')}")
    pairs = pairs.chosen(~is_itself)
    if not len(pairs):
        raise DataError(f"{place}: all pairs are of a picture with itself; copy the list again")
    pairs, told = _with_folds(pairs, place)
    return replace(
        faces,
        pairs=pairs,
        warnings=(*warnings, *told),
        pair_gaps=(*faces.pair_gaps, itself),
    )


def _with_folds(pairs: PairList, place: str) -> tuple[PairList, list[str]]:
    if (pairs.fold != pairs.fold[0]).any():
        return pairs, []
    fold = dealt_folds(pairs.same)
    n_folds = int(fold.max()) + 1
    if n_folds < 2:
        return pairs, [f"{place}: {len(pairs)} pairs are too few for two folds to verify in"]
    return replace(pairs, fold=fold), [
        f"{place}: all {len(pairs)} pairs are in one fold, in which they could not be verified; "
        f"they were dealt into {n_folds}"
    ]
