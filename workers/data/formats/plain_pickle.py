"""Lists, tuples, bytes, texts and numbers out of a pickle, without running anything in it.

`pickle.load` calls whatever a file names. Here the few names that a list of pictures needs stand
for functions of this module, any other is refused, and so is an opcode that no such list needs:
nothing named by the file is ever imported or called. It is the standard library's unpickler in
Python that is restricted, for that in C cannot be by opcode, and keeps its memo in an array: nine
bytes of a file make it take 64 GiB.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from workers.errors import DataError

Value: TypeAlias = Any
"""What a pickle may hold; whoever asked for it checks what it got."""

_SCALAR_KINDS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_FAULTS = (
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    EOFError,
    MemoryError,
    DeprecationWarning,
    struct.error,
    pickle.UnpicklingError,
)
# Lists, tuples, numbers, texts and bytes as every protocol writes them. None makes a dictionary,
# an object or a buffer; of what they make nothing can be called but what `find_class` returns.
_OPCODES = frozenset(
    [
        *("PROTO", "FRAME", "STOP", "MARK", "POP"),
        *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
        *("NEWTRUE", "NEWFALSE", "NONE"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    ]
)


class _Dtype:
    """Stands for a numpy type of plain numbers."""

    def __init__(self, name: Value, *_: Value) -> None:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        self.kind = text.lstrip("<|=")
        if self.kind not in _SCALAR_KINDS:
            raise ValueError(f"numpy type {self.kind!r} is no plain number")

    def __setstate__(self, state: Value) -> None:
        """The byte order, which is little for all files there are."""
        if not isinstance(state, tuple) or any(order in (">", b">") for order in state[1:2]):
            raise ValueError("numbers with the high byte first")


def _scalar(dtype: Value, data: Value) -> bool | int | float:
    if not isinstance(dtype, _Dtype):
        raise TypeError("a number without its type")
    raw = _encode(data) if isinstance(data, str) else _bytes(data)
    value = np.frombuffer(raw, "<" + dtype.kind)
    if value.shape != (1,):
        raise ValueError("a number of another length than its type's")
    number: bool | int | float = value[0].item()
    return number


def _encode(text: Value, _encoding: Value = "latin1") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str):
        raise TypeError("text expected")
    return text.encode("latin-1")


def _bytes(value: Value = b"") -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes expected")
    return value


_CALLABLES: Mapping[str, Callable[..., Value]] = {
    "_codecs.encode": _encode,
    "builtins.bytes": _bytes,
    "__builtin__.bytes": _bytes,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}


class _RefusalError(Exception):
    """What a list of pictures does not do; says what the pickle does."""


def load_plain(data: bytes, place: str) -> Value:
    """The value that a pickle holds; texts of Python 2 come as bytes.

    Args:
        data: The file's content.
        place: Its name, for messages.

    Raises:
        DataError: It is no pickle, it is cut off, or it holds more than lists, tuples, bytes,
            texts and numbers; a function or class that it names is named.
    """
    try:
        with warnings.catch_warnings():
            # An escape that Python does not know, in a text that no pickler wrote.
            warnings.simplefilter("error", DeprecationWarning)
            return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except _RefusalError as refusal:
        raise DataError(f"{place}: the pickle {refusal}") from None
    except _FAULTS as error:
        raise DataError(
            f"{place}: not a readable pickle ({error}); it is cut off or of another format, copy "
            "it again"
        ) from None


def _refuse(opcode: str) -> Callable[[pickle.Unpickler], None]:
    def refuse(_: pickle.Unpickler) -> None:
        raise _RefusalError(f"uses {opcode}, which no list of pictures needs; do not trust it")

    return refuse


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[[pickle.Unpickler], None]]] = {
        ord(opcode.code): pickle._Unpickler.dispatch[ord(opcode.code)]
        if opcode.name in _OPCODES
        else _refuse(opcode.name)
        for opcode in pickletools.opcodes
    }

    def find_class(self, module: str, name: str) -> Callable[..., Value]:
        """The function of this module that stands for the name."""
        full_name = f"{module}.{name}"
        if full_name not in _CALLABLES:
            raise _RefusalError(
                f"wants to call {full_name}; a list of pictures does not, so do not trust it"
            )
        return _CALLABLES[full_name]
