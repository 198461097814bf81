"""A fault of a run file: the place, and what is wrong there. Made where the fault is found."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str, ...]
"""Keys of a run file, from the outermost section inwards; a key may have dots of its own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What must be changed.

    Attributes:
        path: Where; empty for the file as a whole.
        message: What is wrong and what would be accepted, in one line, without the place.
    """

    path: KeyPath
    message: str

    def __str__(self) -> str:
        """The sentence that people read: `space.fix.dag.width: is not …`."""
        place = " ".join(".".join(self.path).split())
        return f"{place or 'the file'}: {self.message}"


def is_at(path: KeyPath, places: Collection[KeyPath]) -> bool:
    """Whether one of the places is the path, lies below it, or holds it."""
    return any(place[: len(path)] == path or path[: len(place)] == place for place in places)
