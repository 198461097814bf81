"""Whether a pack's bytes are those that its digest was made of: which file it is, read whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workers.data.packs.table import content_digest, names_json
from workers.data.packs.tensor_file import TensorEntry, TensorFile
from workers.data.packs.writing import column_names
from workers.errors import DataError

_CHUNK_BYTES = 1 << 24
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """Which file lies at a path, and as of when.

    Attributes:
        ctime_ns: Of the last change of content, owner or name; unlike `mtime_ns` nobody sets it.
        inode: With `device`, the file itself: another file put in its place has another.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    def is_unchanged_since(self, other: FileState) -> bool:
        """Whether the same file has the same content, as far as size and time tell."""
        return (self.size, self.mtime_ns, self.inode, self.device) == (
            other.size,
            other.mtime_ns,
            other.inode,
            other.device,
        )


def file_state(file: Path | int) -> FileState:
    """Of the file at a path, links followed, or of an opened one by its descriptor.

    Raises:
        OSError: There is none, or it cannot be asked.
    """
    found = file.stat() if isinstance(file, Path) else os.fstat(file)
    return FileState(
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        inode=found.st_ino,
        device=found.st_dev,
    )


def require_intact(
    tensors: TensorFile, stream: BinaryIO, *, note: Callable[[int], None] | None = None
) -> None:
    """Read all tensors of a pack and compare the digest.

    Args:
        tensors: The pack's header.
        stream: The pack's file.
        note: Told the bytes of each piece that was read.

    Raises:
        DataError: The content is another than the pack was made with, or the file was changed
            while it was read.
        OSError: It cannot be read.
    """
    before = file_state(stream.fileno())
    found, expected = _content_digest(tensors, stream, note or _ignore), tensors.metadata["digest"]
    if not file_state(stream.fileno()).is_unchanged_since(before):
        raise changed(tensors.path)
    if found != expected:
        raise DataError(
            f"{tensors.path}: the content does not match its digest {expected[:_SHOWN_DIGITS]}…, "
            f"it has {found[:_SHOWN_DIGITS]}…; copy or pack it again"
        )


def changed(path: Path) -> DataError:
    """What to say about a pack that did not stay as it was."""
    return DataError(
        f"{path}: was changed while it was in use; wait until whatever writes it is done, compare "
        "it with `frnas data info --verify`, and begin again"
    )


def _content_digest(tensors: TensorFile, stream: BinaryIO, note: Callable[[int], None]) -> str:
    names = json.loads(tensors.metadata["names"])
    columns = column_names(list(names["groups"]), has_pairs="pairs.first" in tensors.entries)
    image_digest = hashlib.sha256()
    contents = [_read(stream, tensors.entries[column], note) for column in columns]
    entry = tensors.entries["images"]
    stream.seek(entry.offset)
    n_left = entry.n_bytes
    while n_left and (chunk := stream.read(min(n_left, _CHUNK_BYTES))):
        image_digest.update(chunk)
        n_left -= len(chunk)
        note(len(chunk))
    return content_digest(
        names_json(names["identities"], names["groups"]), contents, image_digest.digest()
    )


def _ignore(n_bytes: int) -> None:
    """Nobody wants to know how far the reading is."""


def _read(stream: BinaryIO, entry: TensorEntry, note: Callable[[int], None]) -> bytes:
    stream.seek(entry.offset)
    note(entry.n_bytes)
    return stream.read(entry.n_bytes)
