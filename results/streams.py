"""Documents as JSON text, a piece at a time. Pure.

A document with ten thousand entries is never in memory as a whole, nor is it encoded in one step,
during which no other thread of the process could do anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_PIECE = 1 << 16
"""Characters that are worth a piece of their own."""


def json_pieces(
    head: Mapping[str, Any], name: str, items: Iterable[Any], *, indent: int | None = None
) -> Iterator[str]:
    """The text of `{**head, name: [*items]}`, as `json.dumps` writes it.

    Args:
        head: The document without its long list; has a field at least.
        name: The list's field.
        items: What is in it.
        indent: As of `json.dumps`; without, there is no space anywhere.

    Raises:
        TypeError: Something is not of JSON.
        ValueError: A number is NaN or infinite.
    """
    return _gathered(_parts(head, name, items, indent))


def json_lines(items: Iterable[Any]) -> Iterator[str]:
    """One line of JSON for each item, pieces of them; raises as `json_pieces`."""
    return _gathered(f"{_text(item, None)}\n" for item in items)


def _parts(
    head: Mapping[str, Any], name: str, items: Iterable[Any], indent: int | None
) -> Iterator[str]:
    if indent is None:
        begin, outer, inner, colon = "", "", "", ":"
    else:
        begin, colon = "\n", ": "
        outer, inner = "\n" + " " * indent, "\n" + " " * 2 * indent
    text = _text(head, indent)
    yield f"{text[: -1 - len(begin)]},{outer}{_text(name, None)}{colon}["
    separator = inner
    for item in items:
        # No text of JSON holds a line break of its own.
        yield separator + _text(item, indent).replace("\n", inner)
        separator = f",{inner}"
    yield f"{outer if separator != inner else ''}]{begin}}}"


def _gathered(parts: Iterable[str]) -> Iterator[str]:
    gathered: list[str] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= _PIECE:
            yield "".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield "".join(gathered)


def _text(value: Any, indent: int | None) -> str:
    separators = (",", ":") if indent is None else None
    return json.dumps(
        value, indent=indent, ensure_ascii=False, allow_nan=False, separators=separators
    )
