"""Files as they come to harm, and as older versions wrote them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path


def without_header_digest(pack: Path) -> None:
    """Let a pack be one from before headers had a digest; the header keeps its length."""
    data = pack.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    for name in ("header_digest", "account"):  # the second came together with the first
        header["__metadata__"].pop(name, None)
    text = json.dumps(header, ensure_ascii=False).encode().ljust(end - 8, b" ")
    pack.write_bytes(data[:8] + text + data[end:])


def with_times_put_back(path: Path, change: Callable[[Path], None]) -> None:
    """Change a file so that neither its size nor its time of modification tells."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def zeros(place: str, n_bytes: int) -> Callable[[Path], None]:
    """A change: so many bytes of the tensors are zero, at their start, middle or end."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        first = 8 + int.from_bytes(data[:8], "little")
        begin = {"start": first, "middle": (first + len(data)) // 2, "end": len(data) - n_bytes}
        data[begin[place] : begin[place] + n_bytes] = bytes(n_bytes)
        _overwrite(path, data)

    return change


def flipped_bit(path: Path) -> None:
    """A change: one bit of the pixels is the other."""
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1 << 3
    _overwrite(path, data)


def swapped(path: Path) -> None:
    """A change: another file of the same size, one bit apart, takes its place."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    flipped_bit(other)
    other.replace(path)


def _overwrite(path: Path, data: bytes | bytearray) -> None:
    """In place, so that the file stays the same one."""
    with path.open("r+b") as stream:
        stream.write(data)
