"""InsightFace's training sets: `train.rec`, `train.idx`, `property` and, at times, `train.lst`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from workers.data.formats.bounded_file import check_regular, read_list
from workers.data.formats.record_file import (
    INDEX_REMEDY,
    MAX_INDEX_LINES,
    end_of_record,
    parse_index,
    read_record,
    scan,
)
from workers.data.formats.text_lines import numbered_lines, short
from workers.data.packs.account import N_EXAMPLES, Gap
from workers.data.sources.source import FaceRow, FaceSource
from workers.errors import DataError

_MAX_INDEX_BYTES = 1 << 32
"""Of the index and the list of a file of a hundred million records."""

_NO_LABELS: Mapping[str, str] = {}


def find_records(folder: Path) -> Path | None:
    """The one `.rec` file in a folder; None if there is none or several."""
    found = [
        path for path in folder.iterdir() if path.suffix.lower() == ".rec" and not path.is_dir()
    ]
    return found[0] if len(found) == 1 else None


def is_record_folder(folder: Path) -> bool:
    """Whether a folder holds one `.rec` file."""
    return find_records(folder) is not None


@contextmanager
def open_record_source(source: Path) -> Iterator[FaceSource]:
    """Open a `.rec` file; a person is called by the label's number, and there are no groups.

    Without an `.idx` beside it the records are found one by one.

    Args:
        source: The file, or a folder with one such file.

    Raises:
        DataError: A file is damaged, or there are no pictures inside; byte or line are named.
            Or the folder has no such file, or several.
        OSError: A file cannot be read.
    """
    found = find_records(source) if source.is_dir() else source
    if found is None:
        raise DataError(f"{source}: not one .rec file inside; name the file itself")
    source = found
    check_regular(source, "give a .rec file")
    place = str(source)
    with source.open("rb") as stream:
        try:
            data = mmap(stream.fileno(), 0, access=ACCESS_READ)
        except ValueError:
            raise DataError(f"{place}: empty; copy it again") from None
        with data:
            content = _content(data, source)

            def read(row: FaceRow) -> Image.Image:
                record = read_record(data, content.offsets[row.position], place)
                return Image.open(io.BytesIO(record.picture))

            gaps = tuple(gap for gap in content.gaps if gap.count)
            people_gaps = tuple(gap for gap in content.people_gaps if gap.count)
            yield FaceSource(
                rows=content.rows,
                columns=(),
                read=read,
                warnings=(
                    *_warnings(source, content.rows),
                    *(f"{place}: {gap.sentence()}" for gap in gaps),
                    *(f"{place}: {gap.sentence('people')}" for gap in people_gaps),
                ),
                gaps=gaps,
                people_gaps=people_gaps,
            )


class _Content(NamedTuple):
    """Pictures with the offsets of their records, and what is announced besides."""

    rows: list[FaceRow]
    offsets: list[int]
    gaps: list[Gap]
    people_gaps: tuple[Gap, ...]


class _Announced(NamedTuple):
    """What InsightFace's record 0 says: the first key behind the pictures, and the last's next."""

    end: int
    n_people: int


def _content(data: mmap, source: Path) -> _Content:
    place, by_key, unlisted = str(source), *_records(data, source)
    names = _names(source.with_suffix(".lst"))
    rows: list[FaceRow] = []
    offsets: list[int] = []
    empty: list[str] = []
    behind: list[str] = []
    announced = _announced(data, by_key, place)
    for key, offset in sorted(by_key.items()):
        # A first record that is a list of numbers describes the file.
        if announced is not None and key == 0:
            continue
        record = read_record(data, offset, place)
        is_behind = announced is not None and key >= announced.end
        name = names.get(key, f"record {key}")
        if is_behind and record.picture:
            behind.append(name)
        elif record.picture:
            identity = _identity(record.labels[0], f"{source}: record {key}")
            rows.append(
                FaceRow(source=name, position=len(rows), identity=identity, labels=_NO_LABELS)
            )
            offsets.append(offset)
        elif not is_behind and not record.is_list:
            empty.append(name)
    if not rows:
        raise DataError(f"{source}: no pictures inside; is it a training set?")
    lost = _unlisted(data, unlisted, source)
    gaps = [
        Gap(reason="are records without a picture", names=empty),
        Gap(reason="lie behind the pictures that record 0 announces", names=behind),
        lost.pictures,
    ]
    return _Content(
        rows=rows,
        offsets=offsets,
        gaps=[*gaps, _not_there(announced, by_key, names, lost.pictures.count)],
        people_gaps=(
            _of_nobody_else(lost.people, rows),
            _people_not_there(announced, rows, lost.people.names),
        ),
    )


def _records(data: mmap, source: Path) -> tuple[dict[int, int], list[int]]:
    """Key -> offset, and the offsets of records that the index does not list."""
    index = source.with_suffix(".idx")
    if not index.exists():
        return dict(enumerate(scan(data, str(source)))), []
    listed = read_list(index, max_bytes=_MAX_INDEX_BYTES)
    by_key = parse_index(listed, str(index))
    return by_key, list(_between(data, sorted(by_key.values()), str(source)))


def _between(data: mmap, offsets: Sequence[int], place: str) -> Iterator[int]:
    """Offsets of the records that lie between and behind the listed ones."""
    position = 0
    for offset in (*offsets, len(data)):
        while position < offset:
            yield position
            try:
                position = end_of_record(data, position, place)
            except DataError:
                # No record any more, but bytes of something; what is listed comes behind.
                position = offset
        if offset < len(data):
            position = end_of_record(data, offset, place)


class _Lost(NamedTuple):
    """Pictures that the index does not list, and whose they are."""

    pictures: Gap
    people: Gap


def _unlisted(data: mmap, offsets: Sequence[int], source: Path) -> _Lost:
    reason = f"have no line in {source.with_suffix('.idx').name}"
    pictures: list[str] = []
    people: dict[str, None] = {}
    for offset in offsets:
        name = f"record at byte {offset:,}"
        try:
            record = read_record(data, offset, str(source))
        except DataError:
            pictures.append(f"{name}, which is damaged")
            continue
        if record.picture:
            pictures.append(name)
            people[_identity(record.labels[0], f"{source}: {name}")] = None
    return _Lost(
        Gap(reason=reason, names=pictures, remedy=INDEX_REMEDY),
        Gap(reason=reason, names=list(people), remedy=INDEX_REMEDY),
    )


def _of_nobody_else(gap: Gap, rows: Sequence[FaceRow]) -> Gap:
    """Only those who have no other picture."""
    known = {row.identity for row in rows}
    return replace(gap, names=[name for name in gap.names if name not in known])


def _not_there(
    announced: _Announced | None,
    by_key: Mapping[int, int],
    names: Mapping[int, str],
    n_unlisted: int,
) -> Gap:
    """Pictures that record 0 announces and the file does not have."""
    reason = "are announced by record 0 and not in the file, which is cut off"
    if announced is None:
        return Gap(reason=reason, names=[])
    absent = (key for key in range(1, announced.end) if key not in by_key)
    n_absent = announced.end - 1 - sum(0 < key < announced.end for key in by_key)
    # Those that only the index lacks are told already; which of the keys they have nobody knows.
    n_left = max(n_absent - n_unlisted, 0)
    shown = [names.get(key, f"record {key}") for key in islice(absent, n_left and N_EXAMPLES)]
    shown = shown[:n_left]
    return Gap(
        reason=reason,
        names=shown,
        n_unnamed=n_left - len(shown),
        remedy="copy it again",
    )


def _people_not_there(
    announced: _Announced | None, rows: Sequence[FaceRow], known: Sequence[str]
) -> Gap:
    """People whom record 0 announces, beyond those of whom there is a picture."""
    n_found = len({row.identity for row in rows} | set(known))
    n_more = 0 if announced is None else max(announced.n_people - n_found, 0)
    return Gap(reason="are announced by record 0 and have no picture", names=[], n_unnamed=n_more)


def _announced(data: mmap, by_key: Mapping[int, int], place: str) -> _Announced | None:
    if 0 not in by_key:
        return None
    first = read_record(data, by_key[0], place)
    if not first.is_list or first.picture:
        return None
    numbers = [_whole(label, f"{place}: record 0") for label in first.labels[:2]]
    return _Announced(numbers[0], max(numbers[-1] - numbers[0], 0))


def _identity(label: float, place: str) -> str:
    return str(_whole(label, place))


def _whole(label: float, place: str) -> int:
    if not (0 <= label < 2**31 and label == int(label)):
        raise DataError(f"{place}: label {label} is no number of a person; the file is damaged")
    return int(label)


def _names(path: Path) -> dict[int, str]:
    """Key -> path of the picture that became the record, from a list `key label... path`."""
    if not path.exists():
        return {}
    names: dict[int, str] = {}
    data = read_list(path, max_bytes=_MAX_INDEX_BYTES)
    for number, line in numbered_lines(data, str(path), max_lines=MAX_INDEX_LINES):
        values = line.split("\t")
        key = values[0].strip()
        if len(values) < 3 or not (key.isascii() and key.isdigit() and len(key) <= 18):
            raise DataError(
                f"{path}, line {number}: {short(line)} is no key, label and path; leave the list "
                "out or repair it"
            )
        names[int(key)] = values[-1].strip()
    return names


def _warnings(source: Path, rows: Sequence[FaceRow]) -> list[str]:
    path = source.with_name("property")
    if not path.exists():
        return []
    announced = next(iter(numbered_lines(read_list(path), str(path))), (1, ""))[1]
    n_people = len({row.identity for row in rows})
    if announced.split(",")[0].strip() == str(n_people):
        return []
    return [f"{path}: announces {short(announced)}, but {source.name} holds {n_people} identities"]
