"""What is white in grey pictures of 16 bits: files say that there are 16, cameras have 8 to 16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.data.importing.decoding import BROKEN, is_deep, map_ahead
from workers.data.importing.decoding_memory import DecodingMemory
from workers.data.sources.source import FaceRow, FaceSource

_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiteLevel:
    """Of all deep pictures of a set, for one picture alone may simply be dark.

    Attributes:
        n_pictures: How many there are.
        largest: The largest value in any of them.
    """

    n_pictures: int
    largest: int

    @property
    def bits(self) -> int:
        """The fewest bits, of those that cameras have, that hold all values."""
        return next((bits for bits in _BITS if self.largest < 1 << bits), _BITS[-1])

    def sentence(self) -> str:
        """A warning about what was taken for white; empty where files mean what they say."""
        if self.bits == _BITS[-1]:
            return ""
        return (
            f"{self.n_pictures} pictures have 16 bits a pixel and no value above {self.largest}; "
            f"they were taken for pictures of {self.bits} bits, with {(1 << self.bits) - 1} for "
            "white"
        )


def white_level(faces: FaceSource, rows: Sequence[FaceRow], memory: DecodingMemory) -> WhiteLevel:
    """Look at every deep picture among the rows."""

    def largest(row: FaceRow) -> int | None:
        try:
            with memory.read(faces, row) as image:
                if not is_deep(image):
                    return None
            with memory.opened(faces, row) as image:
                return int(np.asarray(image).max())
        except BROKEN:
            return None

    found = [value for value in map_ahead(largest, rows) if value is not None]
    return WhiteLevel(n_pictures=len(found), largest=max(found, default=0))
