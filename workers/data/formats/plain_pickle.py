"""Lists, tuples, bytes, texts and numbers out of a pickle, without running anything in it.

`pickle.load` calls whatever a file names. Here the file's opcodes are read one by one and put on a
stack; the few names that a list of pictures needs stand for functions of this module, any other is
refused. Nothing named by the file is ever imported or called.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from workers.errors import DataError

Value: TypeAlias = Any
"""What a pickle may hold; whoever asked for it checks what it got."""

_MARK = object()
_SCALAR_KINDS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_FAULTS = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    EOFError,
    MemoryError,
    DeprecationWarning,
    struct.error,
)


class _Dtype:
    """Stands for a numpy type of plain numbers."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def _dtype(name: Value, *_: Value) -> _Dtype:
    kind = _text(name).lstrip("<|=")
    if kind not in _SCALAR_KINDS:
        raise ValueError(f"numpy type {kind!r} is no plain number")
    return _Dtype(kind)


def _scalar(dtype: Value, data: Value) -> bool | int | float:
    if not isinstance(dtype, _Dtype):
        raise TypeError("a number without its type")
    raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)
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
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}

# Opcodes whose argument is the value.
_LITERALS = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    ]
)
_CONSTANTS: Mapping[str, Value] = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None}


def load_plain(data: bytes, place: str) -> Value:
    """The value that a pickle holds; texts of Python 2 come as bytes.

    Args:
        data: The file's content.
        place: Its name, for messages.

    Raises:
        DataError: It is no pickle, it is cut off, or it holds more than lists, tuples, bytes,
            texts and numbers; a function or class that it names is named.
    """
    machine = _Machine(place)
    try:
        with warnings.catch_warnings():
            # An escape that Python does not know, in a text that no pickler wrote.
            warnings.simplefilter("error", DeprecationWarning)
            for opcode, argument, _ in pickletools.genops(data):
                machine.step(opcode.name, argument)
        return machine.result()
    except DataError:
        raise
    except _FAULTS as error:
        raise DataError(
            f"{place}: not a readable pickle ({error}); it is cut off or of another format, copy "
            "it again"
        ) from None


class _Machine:
    """The stack that a pickle's opcodes work on."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._stack: list[Value] = []
        self._memo: dict[int, Value] = {}

    def result(self) -> Value:
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise ValueError("it holds not one value")
        return self._stack[0]

    def step(self, name: str, argument: Value) -> None:
        """Do one opcode."""
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        else:
            own = getattr(self, "_do_" + name.lower(), None)
            if own is None:
                raise DataError(
                    f"{self._place}: the pickle uses {name}, which no list of pictures needs; do "
                    "not trust it"
                )
            own(argument)

    def _pop(self) -> Value:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value belongs")
        return value

    def _pop_to_mark(self) -> list[Value]:
        values: list[Value] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _callable(self, name: str) -> Callable[..., Value]:
        if name not in _CALLABLES:
            raise DataError(
                f"{self._place}: the pickle wants to call {name}; a list of pictures does not, so "
                "do not trust it"
            )
        return _CALLABLES[name]

    def _do_proto(self, _: Value) -> None:
        pass

    def _do_frame(self, _: Value) -> None:
        pass

    def _do_stop(self, _: Value) -> None:
        pass

    def _do_mark(self, _: Value) -> None:
        self._stack.append(_MARK)

    def _do_pop(self, _: Value) -> None:
        self._stack.pop()

    def _do_short_binstring(self, text: str) -> None:
        self._stack.append(text.encode("latin-1"))

    _do_binstring = _do_string = _do_short_binstring

    def _do_empty_list(self, _: Value) -> None:
        self._stack.append([])

    def _do_list(self, _: Value) -> None:
        self._stack.append(self._pop_to_mark())

    def _do_append(self, _: Value) -> None:
        value = self._pop()
        self._list().append(value)

    def _do_appends(self, _: Value) -> None:
        values = self._pop_to_mark()
        self._list().extend(values)

    def _list(self) -> list[Value]:
        if not isinstance(self._stack[-1], list):
            raise TypeError("something is appended to no list")
        return self._stack[-1]

    def _do_empty_tuple(self, _: Value) -> None:
        self._stack.append(())

    def _do_tuple(self, _: Value) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _do_tuple1(self, _: Value) -> None:
        self._stack.append((self._pop(),))

    def _do_tuple2(self, _: Value) -> None:
        last = self._pop()
        self._stack.append((self._pop(), last))

    def _do_tuple3(self, _: Value) -> None:
        last, middle = self._pop(), self._pop()
        self._stack.append((self._pop(), middle, last))

    def _do_put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _: Value) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _do_binget = _do_long_binget = _do_get

    def _do_global(self, names: str) -> None:
        self._stack.append(self._callable(names.replace(" ", ".")))

    def _do_stack_global(self, _: Value) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._callable(f"{_text(module)}.{_text(name)}"))

    def _do_reduce(self, _: Value) -> None:
        arguments, function = self._pop(), self._pop()
        if function not in _CALLABLES.values() or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is no function")
        self._stack.append(function(*arguments))

    def _do_build(self, _: Value) -> None:
        """A numpy type's state: its byte order, which is little for all files there are."""
        state = self._pop()
        if not isinstance(self._stack[-1], _Dtype) or not isinstance(state, tuple):
            raise TypeError("a state for something that has none")
        if any(each in (">", b">") for each in state[1:2]):
            raise ValueError("numbers with the high byte first")


def _text(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise TypeError("a name expected")
    return value
