"""What pydantic finds wrong with a run file, in sentences with the place and a remedy."""

from __future__ import annotations

import reprlib
from typing import Any

from search_space.fault import Fault

_MOST_CHARACTERS = 2000
_KEY = "[key]"
_WORDS = {
    "model_type": "write its keys below it, or leave it out",
    "dict_type": "write its keys below it, or leave it out",
    "tuple_type": "write a list, such as `[a, b]`",
}


def faults_of(error: Any, root: Any) -> list[Fault]:
    """What one of pydantic's errors says; that of a whole configuration may give several faults.

    Args:
        error: One of `ValidationError.errors()`.
        root: The model of the whole file, for the keys that are known somewhere.
    """
    path = tuple(str(part) for part in error["loc"] if part != _KEY)
    return [Fault(path, line) for line in _message(error, root).splitlines()]


def _message(error: Any, root: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["loc"] and error["loc"][-1] == _KEY:
        return "is not a name; put it between quotes"
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(known_keys(error["loc"], root))
            return f"unknown key; {f'known here: {known}' if known else 'remove it'}"
        case "missing":
            return "is missing and has no default"
        case "too_short":
            return f"give {error['ctx']['min_length']} or more"
        case "value_error":
            return message
        case kind:
            words = _WORDS.get(kind, f"{message[0].lower()}{message[1:]}")
            return f"{words} (it is {shown(error['input'])})"


def shown(value: object) -> str:
    """The value, shortened, in one line."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "a number of thousands of digits"


def known_keys(location: tuple[int | str, ...], root: Any) -> tuple[str, ...]:
    """The keys beside the one at the location; none where any key may stand, or nothing is known.

    Args:
        location: Of one of pydantic's errors.
        root: The model of the whole file.
    """
    section = root
    for part in location[:-1]:
        field = section.model_fields.get(part)
        section = _section_of(field.annotation) if field else None
        if section is None:
            return ()
    return tuple(section.model_fields)


def _section_of(annotation: Any) -> Any:
    options = getattr(annotation, "__args__", (annotation,))
    return next((t for t in options if hasattr(t, "model_fields")), None)


def shortened(text: str) -> str:
    """The text, with its middle left out where nobody would read it all."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"


def one_line(text: str) -> str:
    """The text with every run of blanks and line ends as one blank."""
    return " ".join(text.split())
