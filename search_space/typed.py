"""Whether a record made of a file's values holds what its fields are declared to hold.

Files are written by the program and edited by people; a record's constructor takes anything.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_SHOWN_CHARACTERS = 60


def type_faults(record: Any) -> list[str]:
    """One sentence for each field, also of records within, that holds another type.

    A float is finite and may be written as a whole number; a bool is no number.

    Args:
        record: A dataclass whose fields are plain values, records, tuples and mappings.
    """
    return list(_record_faults(record, ""))


def _record_faults(record: Any, place: str) -> Iterator[str]:
    hints = get_type_hints(type(record))
    for field in fields(record):
        yield from _faults(getattr(record, field.name), hints[field.name], place + field.name)


def _faults(value: object, hint: Any, place: str) -> Iterator[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if all(any(_faults(value, choice, place)) for choice in arguments):
            yield _fault(value, place)
    elif origin is Literal:
        if value not in arguments:
            choices = ", ".join(map(str, arguments))
            yield f"{place} is {shown(value)}, not one of {choices}"
    elif origin is None:
        yield from _plain_faults(value, hint, place)
    else:
        yield from _collection_faults(value, hint, place)


def _plain_faults(value: object, hint: Any, place: str) -> Iterator[str]:
    if is_dataclass(hint) and type(value) is hint:
        yield from _record_faults(value, f"{place}.")
    elif hint is not Any and not _is_plain(value, hint):
        yield _fault(value, place)


def _is_plain(value: object, hint: Any) -> bool:
    if isinstance(value, bool) or hint not in (int, float):
        return type(value) is hint
    # Whole numbers have no bound of their own; who computes with them needs floats of them.
    if isinstance(value, int):
        return abs(value) <= _LARGEST
    return hint is float and isinstance(value, float) and math.isfinite(value)


_LARGEST = int(1e308)


def _collection_faults(value: object, hint: Any, place: str) -> Iterator[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if not isinstance(value, origin):
        yield _fault(value, place)
        return
    if isinstance(value, Mapping):
        key_hint, value_hint = arguments
        for key, item in value.items():
            yield from _faults(key, key_hint, f"{place}: a key")
            yield from _faults(item, value_hint, f"{place}.{key}")
        return
    assert isinstance(value, tuple), "records hold no other collections"
    hints: Iterable[Any] = arguments
    if arguments[-1] is Ellipsis:
        hints = [arguments[0]] * len(value)
    elif len(value) != len(arguments):
        yield f"{place} has {len(value)} entries, not {len(arguments)}"
        return
    for number, (item, item_hint) in enumerate(zip(value, hints, strict=True)):
        yield from _faults(item, item_hint, f"{place}.{number}")


def _fault(value: object, place: str) -> str:
    return f"{place} is {shown(value)}, which it cannot be"


def shown(value: object) -> str:
    """The value for a message, in bounds."""
    # repr() of a whole number of thousands of digits is refused by the interpreter.
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a huge number"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
