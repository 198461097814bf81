"""The safetensors container, byte by byte: its header is written late and its tensors are mapped.

The safetensors library writes a file from tensors that are all in memory; a pack's images are
not. So the container's few rules are kept here: 8 bytes little-endian header length, a JSON header
that may be padded with spaces, then the tensors back to back without a hole. This module knows no
faces.
"""

from __future__ import annotations

import json
import math
import os
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
    """The header of a safetensors file that is as long as its header says."""

    path: Path
    metadata: Mapping[str, str]
    entries: Mapping[str, TensorEntry]

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
    return len(padded).to_bytes(_LENGTH_BYTES, "little") + padded


def open_tensor_file(path: Path) -> TensorFile:
    """Read the header of the file at `path` and compare its length with it.

    Raises:
        DataError: The file is not in this format, or it is shorter or longer than it says.
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        file_bytes = os.fstat(stream.fileno()).st_size
        header, start = _read_header(stream, path, file_bytes)
    metadata = header.pop("__metadata__", {})
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
    return TensorFile(path=path, metadata=metadata, entries=entries)


def _read_header(stream: BinaryIO, path: Path, file_bytes: int) -> tuple[dict[str, Any], int]:
    """The JSON header and the byte at which the tensors begin."""
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
    return header, _LENGTH_BYTES + length


def _entry(name: str, value: Mapping[str, Any], start: int) -> TensorEntry:
    begin, end = value["data_offsets"]
    shape = tuple(int(size) for size in value["shape"])
    entry = TensorEntry(name=name, dtype=value["dtype"], shape=shape, offset=start + begin)
    if entry.n_bytes != end - begin:
        raise ValueError(f"tensor {name} does not fill its place")
    return entry


def _foreign(path: Path) -> DataError:
    return DataError(f"{path}: not a pack; make one with `frnas data pack`")
