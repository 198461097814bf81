"""Writing a pack in one pass, so that neither memory nor disk holds the images twice.

The images go to the end of the file, behind a front that is kept free until all of them are
known; a picture that cannot be read simply leaves its row out.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from workers.artefacts.directory import DirectoryStore
from workers.data.packs.account import Account, account_json
from workers.data.packs.table import (
    FORMAT,
    BoolArray,
    ByteArray,
    PackTable,
    content_digest,
    encode_sources,
    keep_rows,
    names_json,
    splits_digest,
)
from workers.data.packs.tensor_file import (
    HEADER_DIGEST,
    NO_DIGEST,
    Array,
    TensorEntry,
    encode_header,
    lay_out,
)
from workers.errors import DataError

_WARNING_BYTES = 65_536
_ACCOUNT_BYTES = 12_288
"""Of the warnings' room, so that a pack begun before is as large as one begun now."""
PAIR_ROWS = ("first", "second")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_pack(
    path: Path,
    *,
    images: Iterable[ByteArray | None],
    table: PackTable,
    channels: int,
    size: int,
    warnings: Sequence[str] = (),
) -> str:
    """Write a pack to `path`, replacing what was there, and return its digest.

    Args:
        path: Its folder is made when missing.
        images: For each row of the table one array of shape (channels, size, size), uint8; None
            leaves the row out. An array of shape (n_images, channels, size, size) will do.
        table: What is known about the images.
        channels: 1 or 3.
        size: Height and width in pixels.
        warnings: Read after the last image, so whoever yields the images may still append.

    Raises:
        DataError: No image is left, or the file cannot be written, such as on a full disk.
        ValueError: There are more or fewer images than rows, or one has another shape.
    """
    shape = (channels, size, size)
    with reporting(path, len(table.identity) * channels * size * size):
        store = DirectoryStore(path.parent)
        with store.replacing(path.name) as temporary, temporary.open("wb") as stream:
            stream.seek(front_bytes(table, shape))
            kept, image_digest = _write_images(stream, images, len(table.identity), shape)
            content = Content(kept=kept, image_digest=image_digest, warnings=warnings)
            return write_front(stream, table, shape, content)


@contextmanager
def reporting(path: Path, image_bytes: int) -> Iterator[None]:
    """Turn what goes wrong with the disk into one sentence about the pack at `path`.

    Raises:
        DataError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error, image_bytes) from error


def _cannot_write(path: Path, error: OSError, image_bytes: int) -> DataError:
    if error.errno in _FULL:
        return DataError(
            f"{path.parent}: the disk is full, the pack takes {image_bytes / 1e6:,.1f} MB; "
            "free some space, choose another place or a smaller size"
        )
    return DataError(f"{path}: cannot be written ({error.strerror}); choose another place")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is known once all images are written.

    Attributes:
        kept: Shape (n_rows,); which rows of the table have an image.
        image_digest: sha256 of the images as stored.
        warnings: What people should know; those at the end are left out where the room ends.
        account: What the source announced and what became of it; None where nobody counted.
    """

    kept: BoolArray
    image_digest: bytes
    warnings: Sequence[str]
    account: Account | None = None


def write_front(
    stream: BinaryIO, table: PackTable, shape: tuple[int, int, int], content: Content
) -> str:
    """Write header and table in front of the images, and return the digest.

    Args:
        stream: The images lie in it, from byte `front_bytes(table, shape)` on.
        table: All rows, also those without an image.
        shape: Channels, height and width of an image.
        content: What was written.

    Raises:
        DataError: There is no image.
    """
    if not content.kept.any():
        raise DataError("no image is left to pack; check the source")
    room = front_bytes(table, shape)
    table = keep_rows(table, content.kept)
    columns = _columns(table)
    names = _names(table)
    parts = [values.tobytes() for _, values in columns]
    digest = content_digest(names, parts, content.image_digest)
    header_bytes = room - sum(map(len, parts))
    entries = _entries(columns, (len(table.identity), *shape))
    header = _header(entries, _metadata(table, names, digest), content, header_bytes)
    stream.seek(0)
    stream.writelines([header, *parts])
    return digest


def front_bytes(table: PackTable, shape: tuple[int, int, int]) -> int:
    """Room for header and table, a multiple of 8; leaving rows out only makes them smaller.

    Args:
        table: All rows.
        shape: Channels, height and width of an image.
    """
    columns = _columns(table)
    entries = _entries(columns, (len(table.identity), *shape))
    header = encode_header(entries, _metadata(table, _names(table), NO_DIGEST))
    return len(header) + _WARNING_BYTES + sum(values.nbytes for _, values in columns)


def _columns(table: PackTable) -> list[tuple[str, Array]]:
    """The table as named tensors in the file's order, the widest numbers first."""
    columns: list[tuple[str, Array]] = [("identity", table.identity.astype("<i4"))]
    pairs = table.pairs
    if pairs is not None:
        columns += [(f"pairs.{name}", getattr(pairs, name).astype("<i4")) for name in PAIR_ROWS]
    for name, column in table.groups.items():
        columns.append((f"group.{name}", column.codes.astype("<i2")))
    if pairs is not None:
        columns.append(("pairs.fold", pairs.fold.astype("<i2")))
    columns.append(("split", table.split.astype("<u1")))
    if pairs is not None:
        columns.append(("pairs.same", pairs.same.astype("<u1")))
    prefix_bytes = sum(values.nbytes for _, values in columns)
    columns.append(("sources", encode_sources(table.sources, prefix_bytes)))
    return columns


def column_names(groups: Sequence[str], *, has_pairs: bool) -> list[str]:
    """The table's tensors in the order in which the digest covers them."""
    first, fold, same = ([f"pairs.{name}" for name in PAIR_ROWS], ["pairs.fold"], ["pairs.same"])
    if not has_pairs:
        first, fold, same = [], [], []
    own = [f"group.{name}" for name in groups]
    return ["identity", *first, *own, *fold, "split", *same, "sources"]


def _entries(
    columns: Sequence[tuple[str, Array]], image_shape: tuple[int, ...]
) -> list[TensorEntry]:
    dtypes = {1: "U8", 2: "I16", 4: "I32"}
    tensors = [(name, dtypes[values.itemsize], values.shape) for name, values in columns]
    return lay_out([*tensors, ("images", "U8", image_shape)])


def _names(table: PackTable) -> str:
    return names_json(table.identities, {name: g.labels for name, g in table.groups.items()})


def _metadata(table: PackTable, names: str, digest: str) -> dict[str, str]:
    settings = json.dumps(table.settings, ensure_ascii=False)
    return {
        "format": FORMAT,
        "digest": digest,
        "names": names,
        "settings": settings,
        "splits_digest": splits_digest(table.identity, table.identities, table.split),
        HEADER_DIGEST: NO_DIGEST,
    }


def _header(
    entries: Sequence[TensorEntry],
    metadata: dict[str, str],
    content: Content,
    n_bytes: int,
) -> bytes:
    """The header with the account, and as many of the warnings as there is room for."""
    room = _WARNING_BYTES - 64
    if content.account is not None:
        account = account_json(content.account, _ACCOUNT_BYTES)
        metadata = {**metadata, "account": account}
        room -= 64 + 2 * len(account.encode("utf-8", "replace"))
    warnings = content.warnings
    for n_warnings in range(len(warnings), -1, -1):
        text = json.dumps(list(warnings[:n_warnings]), ensure_ascii=False)
        # Escaping within the header at most doubles the text.
        if len(text.encode("utf-8", "replace")) * 2 < room:
            return encode_header(entries, {**metadata, "warnings": text}, n_bytes=n_bytes)
    raise AssertionError("an empty list of warnings always fits")


def _write_images(
    stream: BinaryIO,
    images: Iterable[ByteArray | None],
    n_rows: int,
    shape: tuple[int, int, int],
) -> tuple[BoolArray, bytes]:
    """Append the images; return which rows have one, and the sha256 of their bytes."""
    kept = np.zeros(n_rows, np.bool_)
    digest = hashlib.sha256()
    for row, image in zip(range(n_rows), images, strict=True):
        if image is None:
            continue
        if image.shape != shape or image.dtype != np.uint8:
            raise ValueError(f"image {row} is {image.dtype} {image.shape}, not uint8 {shape}")
        pixels = image.tobytes()
        digest.update(pixels)
        stream.write(pixels)
        kept[row] = True
    return kept, digest.digest()
