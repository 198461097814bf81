"""What pydantic finds wrong with a run file, in sentences with the place and a remedy."""

from __future__ import annotations

import reprlib
from typing import Any

_KEY = "[key]"
_WORDS = {
    "model_type": "write its keys below it, or leave it out",
    "dict_type": "write its keys below it, or leave it out",
    "tuple_type": "write a list, such as `[a, b]`",
}


def faults_of(error: Any, root: Any) -> list[str]:
    """The lines of one of pydantic's errors; a check of a whole section may give several.

    Args:
        error: One of `ValidationError.errors()`.
        root: The model of the whole file, for the keys that are known somewhere.
    """
    parts = [str(part) for part in error["loc"] if part != _KEY]
    place = one_line(".".join(parts)) or "the file"
    lines = _message(error, root).splitlines()
    return [line if line.startswith(f"{place}.") else f"{place}: {line}" for line in lines]


def _message(error: Any, root: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["loc"] and error["loc"][-1] == _KEY:
        return "is not a name; put it between quotes"
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key; {_known_keys(error['loc'], root)}"
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


def _known_keys(location: tuple[int | str, ...], root: Any) -> str:
    section = root
    for part in location[:-1]:
        field = section.model_fields.get(part)
        section = _section_of(field.annotation) if field else None
        if section is None:
            return "remove it"
    return f"known here: {', '.join(section.model_fields)}"


def _section_of(annotation: Any) -> Any:
    options = getattr(annotation, "__args__", (annotation,))
    return next((t for t in options if hasattr(t, "model_fields")), None)


def one_line(text: str) -> str:
    """The text with every run of blanks and line ends as one blank."""
    return " ".join(text.split())
