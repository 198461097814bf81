"""A pack being written, so kept on disk that whoever is interrupted goes on where it was.

Beside the pack lie `.NAME.part`, the pack without its front, and `.NAME.journal`, one line for
each block of pictures. Its first line says what is being packed; anything else starts anew. A
block counts once its line is written and its checksum is right, so that neither a killed process
nor a lost buffer leaves a wrong picture.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from results.atomic import sync
from workers.data.packs.table import BoolArray, ByteArray
from workers.errors import DataError

BLOCK = 64
"""Pictures in a block; what an interruption costs at most, besides what was decoded ahead."""


@dataclass(slots=True, kw_only=True)
class PartialPack:
    """Pictures so far.

    Attributes:
        stream: The file; pictures lie behind its first `front_bytes` bytes.
        row_bytes: Bytes of a picture.
        n_rows: Rows that were dealt with, broken ones too.
        faults: Row -> why its picture cannot be read.
        n_enlarged: Pictures that were smaller than they are now.
    """

    stream: BinaryIO
    journal: BinaryIO
    front_bytes: int
    row_bytes: int
    n_rows: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    n_enlarged: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)
    _block_rows: int = 0
    _block_crc: int = 0

    @property
    def image_digest(self) -> bytes:
        """sha256 of all pictures so far."""
        digest: bytes = self._digest.digest()
        return digest

    def kept(self) -> BoolArray:
        """Which rows have a picture, bool (n_rows,)."""
        kept = np.ones(self.n_rows, np.bool_)
        kept[list(self.faults)] = False
        return kept

    def add(self, pixels: ByteArray | None, *, fault: str, enlarged: int) -> None:
        """Add the next row: its pixels, or the fault that says why there are none."""
        if pixels is None:
            self.faults[self.n_rows] = fault
        else:
            data = pixels.tobytes()
            if len(data) != self.row_bytes:
                raise ValueError(f"a picture of {len(data)} bytes, not {self.row_bytes}")
            self.stream.write(data)
            self._digest.update(data)
            self._block_crc = zlib.crc32(data, self._block_crc)
        self.n_rows += 1
        self.n_enlarged += enlarged
        self._block_rows += 1
        if self._block_rows == BLOCK:
            self.flush()

    def flush(self) -> None:
        """End the block: first the pictures, then the line that says they are there."""
        if not self._block_rows:
            return
        self.stream.flush()
        begin = self.n_rows - self._block_rows
        line = {
            "rows": self.n_rows,
            "crc": self._block_crc,
            "faults": {str(row): why for row, why in self.faults.items() if row >= begin},
            "enlarged": self.n_enlarged,
        }
        self.journal.write(json.dumps(line).encode() + b"\n")
        self.journal.flush()
        self._block_rows = self._block_crc = 0

    def restore(self, key: str) -> None:
        """Take up the blocks of the journal that are there and right; forget the rest."""
        self.journal.seek(0)
        self.stream.seek(self.front_bytes)
        good = 0
        if self.journal.readline() == _first_line(key):
            good = self.journal.tell()
            while self._restore_block(self.journal.readline()):
                good = self.journal.tell()
        self.journal.seek(good)
        self.journal.truncate()
        end = self.front_bytes + (self.n_rows - len(self.faults)) * self.row_bytes
        self.stream.seek(end)
        self.stream.truncate()
        if not good:
            self.journal.write(_first_line(key))
            self.journal.flush()

    def _restore_block(self, text: bytes) -> bool:
        try:
            line = json.loads(text)
            n_rows, crc, enlarged = int(line["rows"]), int(line["crc"]), int(line["enlarged"])
            faults = {int(row): str(why) for row, why in line["faults"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return False
        n_bytes = (n_rows - self.n_rows - len(faults)) * self.row_bytes
        is_block = all(self.n_rows <= row < n_rows for row in faults)
        if n_rows <= self.n_rows or n_bytes < 0 or not is_block:
            return False
        data = self.stream.read(n_bytes)
        if len(data) != n_bytes or zlib.crc32(data) != crc:
            return False
        self._digest.update(data)
        self.n_rows, self.n_enlarged = n_rows, enlarged
        self.faults |= faults
        return True


def part_path(out: Path) -> Path:
    """Where the pictures of an unfinished pack lie."""
    return out.with_name(f".{out.name}.part")


def journal_path(out: Path) -> Path:
    """Where it is noted which of them are there."""
    return out.with_name(f".{out.name}.journal")


@contextmanager
def resuming(out: Path, *, key: str, front_bytes: int, row_bytes: int) -> Iterator[PartialPack]:
    """Begin or go on with a pack that appears at `out` when the block ends well.

    When the block raises a DataError nothing is left beside `out`; after any other exception,
    such as Ctrl-C, what is done stays for the next time.

    Args:
        out: The pack; its folder must exist.
        key: Tells one pack from another; only pictures noted under the same key are taken up.
        front_bytes: Room for header and table.
        row_bytes: Bytes of a picture.

    Raises:
        DataError: Another process is writing it.
        OSError: A file cannot be written.
    """
    part, journal = part_path(out), journal_path(out)
    with _opened(journal) as noted, _opened(part) as stream:
        _lock(noted, out)
        partial = PartialPack(
            stream=stream, journal=noted, front_bytes=front_bytes, row_bytes=row_bytes
        )
        partial.restore(key)
        try:
            yield partial
        except DataError:
            _remove(part, journal)
            raise
        except BaseException:
            # On a full disk what is in the buffers is lost; the journal does not know it.
            with suppress(OSError):
                partial.flush()
            raise
        stream.flush()
        sync(part)
        part.replace(out)
        journal.unlink()
    sync(out.parent)


def _first_line(key: str) -> bytes:
    return json.dumps({"format": "frnas.partial/1", "key": key}).encode() + b"\n"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """For reading and writing, made when missing, never emptied."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "r+b") as stream:
        yield stream


def _lock(stream: BinaryIO, out: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(
            f"{out}: another process is packing it; wait for it or choose another name"
        ) from None


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
