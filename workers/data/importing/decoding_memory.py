"""How much memory pictures take while they are decoded: counted before it is taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image

from workers.data.importing.decoding import is_deep
from workers.data.sources.source import FaceRow, FaceSource

# Pillow warns of large pictures and refuses larger ones, whatever memory there is; here they are
# measured against what may be taken.
Image.MAX_IMAGE_PIXELS = None

_FILE_SHARE = 0.25
# Pillow keeps 4 bytes of a colour pixel; a progressive JPEG as much again while it is decoded, and
# so does a conversion. Numbers of 32 bits are copied more often.
_PIXEL_BYTES, _DEEP_PIXEL_BYTES = 12, 20


class TooLargeError(ValueError):
    """One picture alone would take more than is allowed; the text says how much."""


@dataclass(slots=True)
class _Share:
    """Bytes that several threads share; whoever wants more than is left waits."""

    n_bytes: int
    taken: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def held(self, n_bytes: int, what: str) -> Iterator[None]:
        if n_bytes > self.n_bytes:
            raise TooLargeError(
                f"{what} takes {n_bytes / 1e6:,.0f} MB of memory, more than the "
                f"{self.n_bytes / 1e6:,.0f} MB that --memory-gb leaves for it; make the picture "
                "smaller or allow more"
            )
        with self.changed:
            self.changed.wait_for(lambda: self.taken + n_bytes <= self.n_bytes)
            self.taken += n_bytes
        try:
            yield
        finally:
            with self.changed:
                self.taken -= n_bytes
                self.changed.notify_all()


class DecodingMemory:
    """What all threads together may take for encoded and for decoded pictures.

    The two have shares of their own, always taken in this order: who holds one for decoded pixels
    waits for nothing, so nobody waits for ever.
    """

    def __init__(self, n_bytes: int) -> None:
        self._files = _Share(int(n_bytes * _FILE_SHARE))
        self._pixels = _Share(n_bytes - self._files.n_bytes)

    @contextmanager
    def opened(self, faces: FaceSource, row: FaceRow) -> Iterator[Image.Image]:
        """The row's picture, with the memory to decode it and to convert it once.

        Raises:
            TooLargeError: It takes more than there is for all.
        """
        with self.read(faces, row) as image:
            megapixels = image.width * image.height / 1e6
            per_pixel = _DEEP_PIXEL_BYTES if is_deep(image) else _PIXEL_BYTES
            n_bytes = image.width * image.height * per_pixel
            with self._pixels.held(n_bytes, f"decoding {megapixels:,.0f} megapixels"):
                yield image

    @contextmanager
    def read(self, faces: FaceSource, row: FaceRow) -> Iterator[Image.Image]:
        """The row's picture, read but not decoded."""
        n_bytes = 0 if faces.file_bytes is None else faces.file_bytes(row)
        with self._files.held(n_bytes, f"a file of {n_bytes:,} bytes"):
            yield faces.read(row)
