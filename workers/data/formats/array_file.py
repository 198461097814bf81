"""Headers of numpy's `.npy` files, read before the array, which takes what they promise."""

from __future__ import annotations

import ast
import math
import re
import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
_MAX_HEADER = 10_000
_KEYS = {"descr", "fortran_order", "shape"}
# What Python's reader of literals raises for texts that are none.
_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """What a header promises.

    Attributes:
        n_bytes: Of the header and all numbers together.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_bytes: int


def read_array_header(stream: IO[bytes]) -> ArrayHeader:
    """The header at the beginning of a `.npy` file.

    Raises:
        ValueError: It is none, or of an array of objects; the text says what is wrong.
    """
    start = stream.read(len(_MAGIC) + 2)
    if len(start) != len(_MAGIC) + 2 or not start.startswith(_MAGIC) or start[6] not in _LENGTHS:
        raise ValueError("no array of numpy's")
    form = _LENGTHS[start[6]]
    length = _unpacked(form, stream.read(struct.calcsize(form)))
    if length > _MAX_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    text = stream.read(length)
    fields = _fields(text)
    shape, dtype = _shape(fields["shape"]), _dtype(fields["descr"])
    n_front = len(start) + struct.calcsize(form) + length
    return ArrayHeader(
        shape=shape, dtype=dtype, n_bytes=n_front + math.prod(shape) * dtype.itemsize
    )


def _unpacked(form: str, data: bytes) -> int:
    if len(data) != struct.calcsize(form):
        raise ValueError("cut off in its header")
    length: int = struct.unpack(form, data)[0]
    return length


def _fields(text: bytes) -> dict[str, Any]:
    # Python 2 wrote long numbers with an L.
    plain = re.sub(rb"(?<=\d)L(?=[,)])", b"", text)
    try:
        fields = ast.literal_eval(plain.decode("utf-8").strip())
    except _NO_LITERAL:
        raise ValueError("a damaged header") from None
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise ValueError("a damaged header")
    return fields


def _shape(value: Any) -> tuple[int, ...]:
    is_shape = isinstance(value, tuple) and all(type(n) is int and n >= 0 for n in value)
    if not is_shape:
        raise ValueError(f"no shape of an array: {str(value)[:60]}")
    shape: tuple[int, ...] = value
    return shape


def _dtype(value: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except _NO_LITERAL:
        raise ValueError(f"no type of numbers: {str(value)[:60]}") from None
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    return dtype
