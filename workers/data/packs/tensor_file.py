"""The safetensors container, byte by byte: its header is written late and its tensors are mapped.

The safetensors library writes a file from tensors that are all in memory; a pack's images are
not. So the container's few rules are kept here: 8 bytes little-endian header length, a JSON header
that may be padded with spaces, then the tensors back to back without a hole. This module knows no
faces.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from workers.errors import DataError

Array: TypeAlias = npt.NDArray[Any]

_DTYPES: dict[str, np.dtype[Any]] = {
    "U8": np.dtype("<u1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
}
HEADER_DIGEST = "header_digest"
"""In the metadata: sha256 of the header's own bytes, with zeros where this digest stands."""
NO_DIGEST = "0" * 64
# Quotation marks within a text are escaped, so this is found where it is meant only.
_SEAL = re.compile(rb'(?<!\\)"header_digest": "([0-9a-f]{64})"')
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """Where one tensor lies.

    Attributes:
        dtype: safetensors' name of the type: `U8`, `I16` or `I32`.
        offset: Bytes from the beginning of all tensors; in an opened file, of the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def n_bytes(self) -> int:
        """Bytes the tensor takes."""
        return math.prod(self.shape) * _DTYPES[self.dtype].itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """The header of a safetensors file that is as long as its header says.

    Attributes:
        has_intact_header: False where the header has a digest, which is of another header.
    """

    path: Path
    metadata: Mapping[str, str]
    entries: Mapping[str, TensorEntry]
    has_intact_header: bool = True

    def map(self, name: str) -> Array:
        """The tensor called `name`, memory-mapped and read only.

        Raises:
            KeyError: There is no such tensor.
        """
        entry = self.entries[name]
        if entry.n_bytes == 0:
            return np.zeros(entry.shape, _DTYPES[entry.dtype])
        return np.memmap(
            self.path,
            dtype=_DTYPES[entry.dtype],
            mode="r",
            offset=entry.offset,
            shape=entry.shape,
        )

    def load(self, name: str) -> Array:
        """A copy of the tensor called `name`, read only and in the machine's byte order."""
        mapped = self.map(name)
        loaded = np.array(mapped, dtype=mapped.dtype.newbyteorder("="))
        loaded.flags.writeable = False
        return loaded


def lay_out(tensors: Sequence[tuple[str, str, tuple[int, ...]]]) -> list[TensorEntry]:
    """Entries for (name, dtype, shape) triples put back to back in the given order."""
    entries: list[TensorEntry] = []
    offset = 0
    for name, dtype, shape in tensors:
        entry = TensorEntry(name=name, dtype=dtype, shape=shape, offset=offset)
        entries.append(entry)
        offset += entry.n_bytes
    return entries


def encode_header(
    entries: Sequence[TensorEntry], metadata: Mapping[str, str], *, n_bytes: int | None = None
) -> bytes:
    """Length and JSON of the header, padded with spaces.

    Args:
        entries: Every tensor, with offsets from the beginning of all tensors.
        metadata: Free text, as safetensors allows it; halves of surrogate pairs become `?`.
            A `header_digest` is replaced by that of the header, see `HEADER_DIGEST`.
        n_bytes: Bytes the result must have; None takes the next multiple of 8.

    Raises:
        ValueError: The header does not fit into `n_bytes`.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    for entry in entries:
        offsets = [entry.offset, entry.offset + entry.n_bytes]
        header[entry.name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": offsets,
        }
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "replace")
    wanted = -(-(len(text) + _LENGTH_BYTES) // 8) * 8 if n_bytes is None else n_bytes
    if len(text) + _LENGTH_BYTES > wanted:
        raise ValueError(f"a header of {len(text)} bytes does not fit into {wanted} bytes")
    padded = text.ljust(wanted - _LENGTH_BYTES, b" ")
    return _sealed(len(padded).to_bytes(_LENGTH_BYTES, "little") + padded)


def open_tensor_file(path: Path) -> TensorFile:
    """Read the header of the file at `path` and compare its length with it.

    Raises:
        DataError: The file is not in this format, or it is shorter or longer than it says.
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return read_tensor_file(stream, path)


def read_tensor_file(stream: BinaryIO, path: Path) -> TensorFile:
    """As `open_tensor_file`, of a file that is open already.

    Raises:
        DataError, OSError: As there.
    """
    stream.seek(0)
    file_bytes = os.fstat(stream.fileno()).st_size
    text, header = _read_header(stream, path, file_bytes)
    start = _LENGTH_BYTES + len(text)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) for text in metadata.values()
    ):
        raise _foreign(path)
    is_intact = _is_intact(len(text).to_bytes(_LENGTH_BYTES, "little") + text, metadata)
    try:
        entries = {name: _entry(name, value, start) for name, value in header.items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise _foreign(path) from None
    end = max((entry.offset + entry.n_bytes for entry in entries.values()), default=start)
    if file_bytes != end:
        raise DataError(
            f"{path}: truncated or overwritten, {file_bytes:,} bytes instead of {end:,}; "
            "copy or pack it again"
        )
    return TensorFile(path=path, metadata=metadata, entries=entries, has_intact_header=is_intact)


def _sealed(header: bytes) -> bytes:
    """The header with its digest in the place that was kept for it, if any."""
    found = _SEAL.search(header)
    if found is None:
        return header
    return header[: found.start(1)] + _seal(header, found) + header[found.end(1) :]


def _seal(header: bytes, found: re.Match[bytes]) -> bytes:
    """64 hexadecimal digits, of all bytes of the header with zeros in the digits' place."""
    digest = hashlib.sha256(header[: found.start(1)])
    digest.update(NO_DIGEST.encode())
    digest.update(header[found.end(1) :])
    return digest.hexdigest().encode()


def _is_intact(header: bytes, metadata: Mapping[str, str]) -> bool:
    if HEADER_DIGEST not in metadata:
        return True
    found = _SEAL.search(header)
    return found is not None and _seal(header, found) == found[1]


def _read_header(stream: BinaryIO, path: Path, file_bytes: int) -> tuple[bytes, dict[str, Any]]:
    """The header's text, and what it says."""
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if file_bytes < _LENGTH_BYTES or not 2 <= length <= _MAX_HEADER_BYTES:
        raise _foreign(path)
    text = stream.read(length)
    if len(text) < length and text.startswith(b"{"):
        raise DataError(f"{path}: truncated within its header; copy or pack it again")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise _foreign(path) from None
    if not isinstance(header, dict):
        raise _foreign(path)
    return text, header


def _entry(name: str, value: Mapping[str, Any], start: int) -> TensorEntry:
    begin, end = value["data_offsets"]
    shape = tuple(int(size) for size in value["shape"])
    entry = TensorEntry(name=name, dtype=value["dtype"], shape=shape, offset=start + begin)
    if entry.n_bytes != end - begin:
        raise ValueError(f"tensor {name} does not fill its place")
    return entry


def _foreign(path: Path) -> DataError:
    return DataError(f"{path}: not a pack; make one with `frnas data pack`")
