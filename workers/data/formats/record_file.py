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

from workers.data.formats.text_lines import numbered_lines, short
from workers.errors import DataError

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record.

    Attributes:
        labels: The header's label, or the labels behind it where there are any.
        is_list: Whether the labels lie behind the header, as in the record that opens a file.
        picture: Encoded; empty in records that only describe others.
    """

    labels: tuple[float, ...]
    is_list: bool
    picture: bytes


def read_record(data: bytes | mmap, offset: int, place: str) -> Record:
    """The record at byte `offset`.

    Raises:
        DataError: There is none, or it is damaged; the byte is named.
    """
    content, _ = _content(data, offset, place)
    if len(content) < _HEADER.size:
        raise _damaged(place, offset, f"{len(content)} bytes are too few for its header")
    n_labels, label, _, _ = _HEADER.unpack_from(content)
    end = _HEADER.size + 4 * n_labels
    if end > len(content):
        raise _damaged(place, offset, f"it announces {n_labels} labels and is shorter than they")
    labels = struct.unpack_from(f"<{n_labels}f", content, _HEADER.size) if n_labels else (label,)
    return Record(labels=labels, is_list=n_labels > 0, picture=content[end:])


def scan(data: bytes | mmap, place: str) -> Iterator[int]:
    """Offsets of all records, one behind the other, for files that lost their index.

    Raises:
        DataError: What lies at one is no record, or the last is cut off.
    """
    offset = 0
    while offset < len(data):
        yield offset
        _, offset = _content(data, offset, place)


def _content(data: bytes | mmap, offset: int, place: str) -> tuple[bytes, int]:
    """The content of the record at `offset`, and where the next begins.

    A content that holds the magic number is stored in parts, without it.
    """
    part, kind, end = _part(data, offset, place)
    if kind == _WHOLE:
        return part, end
    if kind != _FIRST:
        raise _damaged(place, offset, "it begins in the middle of another")
    parts = [part]
    while kind != _LAST:
        part, kind, end = _part(data, end, place)
        if kind not in (_MIDDLE, _LAST):
            raise _damaged(place, offset, "its last part is missing")
        parts.append(part)
    return _MAGIC_BYTES.join(parts), end


def _part(data: bytes | mmap, offset: int, place: str) -> tuple[bytes, int, int]:
    if not 0 <= offset <= len(data) - _FRAME.size:
        raise _damaged(place, offset, f"the file has {len(data):,} bytes; it is cut off")
    magic, word = _FRAME.unpack_from(data, offset)
    if magic != MAGIC:
        raise _damaged(place, offset, f"magic number {magic:#010x} instead of {MAGIC:#010x}")
    begin, length = offset + _FRAME.size, word & ((1 << _LENGTH_BITS) - 1)
    if begin + length > len(data):
        raise _damaged(place, offset, f"it ends behind the file's {len(data):,} bytes")
    return data[begin : begin + length], word >> _LENGTH_BITS, begin + -(-length // 4) * 4


def _damaged(place: str, offset: int, why: str) -> DataError:
    return DataError(f"{place}: no record at byte {offset:,} ({why}); copy the file again")


def parse_index(data: bytes, place: str) -> dict[int, int]:
    """Key -> offset in the `.rec` file.

    Raises:
        DataError: A line is no key and offset, or a key occurs twice; the line is named.
    """
    offsets: dict[int, int] = {}
    for number, line in numbered_lines(data, place):
        values = line.split()
        if len(values) != 2 or not all(_is_number(value) for value in values):
            raise DataError(f"{place}, line {number}: {short(line)} is no key and offset")
        key, offset = int(values[0]), int(values[1])
        if offsets.setdefault(key, offset) != offset:
            raise DataError(f"{place}, line {number}: key {key} is listed twice")
    if not offsets:
        raise DataError(f"{place}: empty; leave it out, then the records are found one by one")
    return offsets


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
