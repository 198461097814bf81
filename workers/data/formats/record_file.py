"""Records of a MXNet `.rec` file and their `.idx`, read without MXNet.

A record is a magic number, a word with 3 bits that say whether it is whole or a part and 29 bits
of length, and the content filled up to 4 bytes. The content is a header of flag, label and two
ids, then `flag` more labels, then the encoded picture.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import NamedTuple

from workers.data.formats.text_lines import numbered_lines, short
from workers.errors import DataError

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_LENGTH_BITS = 29
_MAX_LABELS = 4_096
_MAX_CONTENT = 1 << 28
MAX_INDEX_LINES = 100_000_000
INDEX_REMEDY = "move the index away, then the records are found one by one"
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record.

    Attributes:
        labels: The header's label, or the labels behind it where there are any.
        is_list: Whether the labels lie behind the header, as in the record that opens a file.
        picture: Encoded; empty in records that only describe others.
        end: Where the next record begins.
    """

    labels: tuple[float, ...]
    is_list: bool
    picture: bytes
    end: int


def read_record(data: bytes | mmap, offset: int, place: str) -> Record:
    """The record at byte `offset`.

    Raises:
        DataError: There is none, or it is damaged; the byte is named.
    """
    content, next_offset = _content(data, offset, place)
    if len(content) < _HEADER.size:
        raise _damaged(place, offset, f"{len(content)} bytes are too few for its header")
    n_labels, label, _, _ = _HEADER.unpack_from(content)
    end = _HEADER.size + 4 * n_labels
    if n_labels > _MAX_LABELS or end > len(content):
        raise _damaged(place, offset, f"it announces {n_labels} labels and is shorter than they")
    labels = struct.unpack_from(f"<{n_labels}f", content, _HEADER.size) if n_labels else (label,)
    return Record(labels=labels, is_list=n_labels > 0, picture=content[end:], end=next_offset)


def scan(data: bytes | mmap, place: str) -> Iterator[int]:
    """Offsets of all records, one behind the other, for files that lost their index.

    Raises:
        DataError: What lies at one is no record, or the last is cut off.
    """
    offset = 0
    while offset < len(data):
        yield offset
        offset = end_of_record(data, offset, place)


def end_of_record(data: bytes | mmap, offset: int, place: str) -> int:
    """Where the record at byte `offset` ends, which is where the next begins.

    Raises:
        DataError: There is none, or it is cut off.
    """
    return _parts(data, offset, place)[-1].next


def _content(data: bytes | mmap, offset: int, place: str) -> tuple[bytes, int]:
    """The content of the record at `offset`, and where the next begins.

    A content that holds the magic number is stored in parts, without it.
    """
    parts = _parts(data, offset, place)
    if sum(part.end - part.begin for part in parts) > _MAX_CONTENT:
        raise _damaged(place, offset, f"it is larger than {_MAX_CONTENT >> 20} MiB")
    content = _MAGIC_BYTES.join(data[part.begin : part.end] for part in parts)
    return content, parts[-1].next


class _Part(NamedTuple):
    """A stretch of a content, and where the part behind it begins."""

    begin: int
    end: int
    next: int
    kind: int


def _parts(data: bytes | mmap, offset: int, place: str) -> list[_Part]:
    part = _part(data, offset, place)
    if part.kind not in (_WHOLE, _FIRST):
        raise _damaged(place, offset, "it begins in the middle of another")
    parts = [part]
    while part.kind not in (_WHOLE, _LAST):
        part = _part(data, part.next, place)
        if part.kind not in (_MIDDLE, _LAST):
            raise _damaged(place, offset, "its last part is missing")
        parts.append(part)
    return parts


def _part(data: bytes | mmap, offset: int, place: str) -> _Part:
    if not 0 <= offset <= len(data) - _FRAME.size:
        raise _damaged(place, offset, f"the file has {len(data):,} bytes; it is cut off")
    magic, word = _FRAME.unpack_from(data, offset)
    if magic != MAGIC:
        raise _damaged(place, offset, f"magic number {magic:#010x} instead of {MAGIC:#010x}")
    begin, length = offset + _FRAME.size, word & ((1 << _LENGTH_BITS) - 1)
    if begin + length > len(data):
        raise _damaged(place, offset, f"it ends behind the file's {len(data):,} bytes")
    end = begin + length
    return _Part(begin, end, begin + -(-length // 4) * 4, word >> _LENGTH_BITS)


def _damaged(place: str, offset: int, why: str) -> DataError:
    return DataError(f"{place}: no record at byte {offset:,} ({why}); copy the file again")


def parse_index(data: bytes, place: str) -> dict[int, int]:
    """Key -> offset in the `.rec` file.

    Raises:
        DataError: A line is no key and offset, or a key or an offset occurs twice; the line is
            named.
    """
    offsets: dict[int, int] = {}
    keys: dict[int, int] = {}
    for number, line in numbered_lines(data, place, max_lines=MAX_INDEX_LINES):
        values = line.split()
        if len(values) != 2 or not all(_is_number(value) for value in values):
            raise DataError(f"{place}, line {number}: {short(line)} is no key and offset")
        key, offset = int(values[0]), int(values[1])
        if offsets.setdefault(key, offset) != offset:
            raise DataError(f"{place}, line {number}: key {key} is listed twice")
        if keys.setdefault(offset, key) != key:
            raise DataError(
                f"{place}, line {number}: keys {keys[offset]} and {key} have the same offset "
                f"{offset}; {INDEX_REMEDY}"
            )
    if not offsets:
        raise DataError(f"{place}: empty; {INDEX_REMEDY}")
    return offsets


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
