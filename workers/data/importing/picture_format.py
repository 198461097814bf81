"""How large the pictures of a source are and whether they have colour, judged by a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from workers.data.importing.decoding import BROKEN, is_deep, is_grey, map_ahead
from workers.data.importing.decoding_memory import DecodingMemory
from workers.data.sources.pack_settings import DEFAULT_MEMORY_BYTES, Colour
from workers.data.sources.source import FaceRow, FaceSource

LARGEST_OWN_SIZE = 112
_SAMPLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """What every packed picture is turned into.

    Attributes:
        size: Height and width in pixels.
        channels: 1 for grey, 3 for red, green and blue.
        warnings: What people should know about the choice.
    """

    size: int
    channels: int
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.size, self.size


def choose_format(
    source: FaceSource,
    rows: Sequence[FaceRow],
    *,
    size: int | None,
    colour: Colour,
    memory: DecodingMemory | None = None,
) -> PictureFormat:
    """Fill in what was not chosen by looking at up to 200 pictures, evenly spread over `rows`.

    Args:
        source: Where the pictures are read.
        rows: What will be packed; not empty.
        size: Pixels; None takes the middle one of the sample's shorter sides, at most 112 (the
            usual size in face recognition), so that pictures are shrunk but not blown up.
        colour: `auto` is grey where every picture of the sample is, also when stored as colour.
        memory: What pictures may take meanwhile; None allows the usual.
    """
    if size is not None and colour != "auto":
        return PictureFormat(size=size, channels=1 if colour == "grey" else 3)
    looks = _look(source, rows, memory or DecodingMemory(DEFAULT_MEMORY_BYTES))
    own_size = median_low([side for side, _ in looks]) if looks else LARGEST_OWN_SIZE
    n_grey = sum(grey for _, grey in looks)
    is_colour = colour == "colour" or (colour == "auto" and n_grey < len(looks))
    warnings: tuple[str, ...] = ()
    if colour == "auto" and 0 < n_grey < len(looks):
        warnings = (
            f"{n_grey} of {len(looks)} pictures looked at are grey, the others have colour; "
            "packed in colour, so that a network can see which is which",
        )
    return PictureFormat(
        size=min(own_size, LARGEST_OWN_SIZE) if size is None else size,
        channels=3 if is_colour else 1,
        warnings=warnings,
    )


def _look(
    source: FaceSource, rows: Sequence[FaceRow], memory: DecodingMemory
) -> list[tuple[int, bool]]:
    """Shorter side in pixels, and whether it is grey, of each picture that can be read."""

    def look(row: FaceRow) -> tuple[int, bool] | None:
        try:
            with memory.opened(source, row) as image:
                return min(image.size), is_grey(image)
        except BROKEN:
            return None

    return [seen for seen in map_ahead(look, _sample(rows)) if seen is not None]


def _sample(rows: Sequence[FaceRow]) -> list[FaceRow]:
    n_looked_at = min(len(rows), _SAMPLE)
    return [rows[i * len(rows) // n_looked_at] for i in range(n_looked_at)]


def has_deep_pictures(source: FaceSource, rows: Sequence[FaceRow], memory: DecodingMemory) -> bool:
    """Whether one of up to 200 pictures is grey with more than 8 bits; decodes none."""

    def is_one(row: FaceRow) -> bool:
        try:
            with memory.read(source, row) as image:
                return is_deep(image)
        except BROKEN:
            return False

    return any(map_ahead(is_one, _sample(rows)))
