"""The pictures of a source, decoded one behind the other, each with its fault if it has one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from PIL import UnidentifiedImageError

from workers.data.importing.decoding import BROKEN, is_deep, map_ahead, to_array, uniform_fault
from workers.data.importing.decoding_memory import DecodingMemory
from workers.data.importing.picture_format import PictureFormat, has_deep_pictures
from workers.data.importing.white_level import WhiteLevel, white_level
from workers.data.packs.table import ByteArray
from workers.data.sources.source import FaceRow, FaceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture after decoding: pixels, or a fault that says why there are none."""

    pixels: ByteArray | None
    fault: str = ""
    is_enlarged: bool = False


_WAITS_FOR_WHITE = Picture(pixels=None, fault="white is not known yet")


@dataclass(slots=True, kw_only=True)
class PictureReading:
    """How the pictures of a source are read.

    Attributes:
        rows: All that are packed; of all of them it is found out what is white.
        white: Known once a picture of more than 8 bits was met.
    """

    faces: FaceSource
    rows: Sequence[FaceRow]
    form: PictureFormat
    memory: DecodingMemory
    white: WhiteLevel | None = field(default=None)

    def look_for_white(self) -> None:
        """Find out what is white where a sample has deep pictures.

        So that it is found out, and told, also when the first of them was read in an earlier
        attempt.
        """
        if has_deep_pictures(self.faces, self.rows, self.memory):
            self.white = white_level(self.faces, self.rows, self.memory)

    def pictures(self, rows: Sequence[FaceRow]) -> Generator[Picture, None, None]:
        """The rows' pictures in order, several decoded at once."""
        for row, picture in zip(rows, map_ahead(self._decode, rows), strict=True):
            if picture is not _WAITS_FOR_WHITE:
                yield picture
                continue
            # Here and not on a thread of the pool, which holds memory that this needs.
            if self.white is None:
                self.white = white_level(self.faces, self.rows, self.memory)
            yield self._decode(row)

    def _decode(self, row: FaceRow) -> Picture:
        form, white = self.form, self.white
        try:
            with self.memory.opened(self.faces, row) as image:
                if white is None and is_deep(image):
                    return _WAITS_FOR_WHITE
                is_enlarged = min(image.size) < form.size
                bits = 16 if white is None else white.bits
                pixels = to_array(image, channels=form.channels, size=form.size, white_bits=bits)
        except BROKEN as error:
            return Picture(pixels=None, fault=_failure_reason(error))
        fault = uniform_fault(pixels)
        return Picture(pixels=None if fault else pixels, fault=fault, is_enlarged=is_enlarged)


def _failure_reason(error: Exception) -> str:
    """What is wrong with a picture; the same words for the same fault."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    return str(error) or type(error).__name__
