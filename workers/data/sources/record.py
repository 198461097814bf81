"""InsightFace's training sets: `train.rec`, `train.idx`, `property` and, at times, `train.lst`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path

from PIL import Image

from workers.data.formats.record_file import Record, parse_index, read_record, scan
from workers.data.formats.text_lines import numbered_lines, short
from workers.data.sources.source import FaceRow, FaceSource
from workers.errors import DataError

_NO_LABELS: Mapping[str, str] = {}


def find_records(folder: Path) -> Path | None:
    """The one `.rec` file in a folder; None if there is none or several."""
    found = [path for path in folder.iterdir() if path.suffix.lower() == ".rec"]
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
    place = str(source)
    with source.open("rb") as stream:
        try:
            data = mmap(stream.fileno(), 0, access=ACCESS_READ)
        except ValueError:
            raise DataError(f"{place}: empty; copy it again") from None
        with data:
            rows, offsets = _rows(data, source)

            def read(row: FaceRow) -> Image.Image:
                return Image.open(io.BytesIO(_record(data, offsets, row, place).picture))

            yield FaceSource(
                rows=rows, columns=(), read=read, warnings=tuple(_warnings(source, rows))
            )


def _record(data: mmap, offsets: Sequence[int], row: FaceRow, place: str) -> Record:
    return read_record(data, offsets[row.position], place)


def _rows(data: mmap, source: Path) -> tuple[list[FaceRow], list[int]]:
    index = source.with_suffix(".idx")
    if index.is_file():
        by_key = parse_index(index.read_bytes(), str(index))
    else:
        by_key = dict(enumerate(scan(data, str(source))))
    names = _names(source.with_suffix(".lst"))
    rows: list[FaceRow] = []
    offsets: list[int] = []
    end = _end_of_pictures(data, by_key, str(source))
    for key, offset in sorted(by_key.items()):
        # A first record that is a list of numbers describes the file.
        if end is not None and not 0 < key < end:
            continue
        record = read_record(data, offset, str(source))
        if record.picture:
            name = names.get(key, f"record {key}")
            identity = _identity(record.labels[0], f"{source}: record {key}")
            rows.append(
                FaceRow(source=name, position=len(rows), identity=identity, labels=_NO_LABELS)
            )
            offsets.append(offset)
    if not rows:
        raise DataError(f"{source}: no pictures inside; is it a training set?")
    return rows, offsets


def _end_of_pictures(data: mmap, by_key: Mapping[int, int], place: str) -> int | None:
    """The first key behind the pictures, which InsightFace's record 0 tells."""
    if 0 not in by_key:
        return None
    first = read_record(data, by_key[0], place)
    if not first.is_list or first.picture:
        return None
    return int(_whole(first.labels[0], f"{place}: record 0"))


def _identity(label: float, place: str) -> str:
    return str(_whole(label, place))


def _whole(label: float, place: str) -> int:
    if not (0 <= label < 2**31 and label == int(label)):
        raise DataError(f"{place}: label {label} is no number of a person; the file is damaged")
    return int(label)


def _names(path: Path) -> dict[int, str]:
    """Key -> path of the picture that became the record, from a list `key label... path`."""
    if not path.is_file():
        return {}
    names: dict[int, str] = {}
    for number, line in numbered_lines(path.read_bytes(), str(path)):
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
    if not path.is_file():
        return []
    announced = next(iter(numbered_lines(path.read_bytes(), str(path))), (1, ""))[1]
    n_people = len({row.identity for row in rows})
    if announced.split(",")[0].strip() == str(n_people):
        return []
    return [f"{path}: announces {short(announced)}, but {source.name} holds {n_people} identities"]
