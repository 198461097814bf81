"""Pictures to arrays: centre square, one size, grey or colour; several at once, in order."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from workers.data.packs.table import ByteArray

# What Pillow and zipfile raise for a damaged picture.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    NotImplementedError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_GREY_MODES = ("1", "L", "LA", "F", *_DEEP_MODES)
_AHEAD_PER_THREAD = 8
_STRIP = 256
MIN_CONTRAST = 16
"""Of 255. A blank picture has the noise of its compression, and one of 12 bits that some program
took for 16 at most 15."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def to_array(image: Image.Image, *, channels: int, size: int, white_bits: int = 16) -> ByteArray:
    """The centre square of the picture, shape (channels, size, size).

    Resized with a Lanczos filter as wide as the step, so that shrinking does not alias; turned
    upright first when the camera said so.

    Args:
        image: Deep grey pictures are opened by Pillow as 16 bits, however many the camera had.
        channels: 1 for grey, 3 for red, green and blue.
        size: Height and width in pixels.
        white_bits: 8..16; deep pixels count as numbers of so many bits.

    Raises:
        ValueError: The pixels are floating-point numbers, of which nobody knows what white is.
    """
    ImageOps.exif_transpose(image, in_place=True)
    mode = "L" if channels == 1 else "RGB"
    shallow = _shallow(image, white_bits)
    # A conversion to what it is already would be another copy of a large picture.
    converted = shallow if shallow.mode == mode else shallow.convert(mode)
    side = min(converted.size)
    left, top = (converted.width - side) / 2, (converted.height - side) / 2
    box = (left, top, left + side, top + side)
    if converted.size != (size, size):
        converted = converted.resize((size, size), Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(converted, np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _shallow(image: Image.Image, white_bits: int) -> Image.Image:
    """The picture with at most 8 bits a channel; Pillow's own conversion clips at 255."""
    if image.mode == "F":
        raise ValueError("floating-point pixels; save the picture with 8 bits")
    if not is_deep(image):
        return image
    values = np.asarray(image) >> (white_bits - 8)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def is_deep(image: Image.Image) -> bool:
    """Whether the picture is grey with more than 8 bits a pixel."""
    return image.mode in _DEEP_MODES


def uniform_fault(pixels: ByteArray) -> str:
    """What to say of a picture on which nothing can be seen; empty of any other.

    Args:
        pixels: Shape (channels, height, width).
    """
    lowest, highest = pixels.min((1, 2)), pixels.max((1, 2))
    if int((highest - lowest).max()) >= MIN_CONTRAST:
        return ""
    darkest, lightest = int(lowest.min()), int(highest.max())
    return f"nothing can be seen: all its pixels lie between {darkest} and {lightest} of 255"


def is_grey(image: Image.Image) -> bool:
    """Whether the picture has no colour, also when it is stored as a colour picture."""
    if image.mode in _GREY_MODES:
        return True
    colour = image if image.mode == "RGB" else image.convert("RGB")
    # In strips, for a picture may be large and is mostly told from its first.
    for top in range(0, colour.height, _STRIP):
        box = (0, top, colour.width, min(top + _STRIP, colour.height))
        pixels = np.asarray(colour.crop(box))
        if (pixels != pixels[:, :, :1]).any():
            return False
    return True


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Like `map`, on several threads and a bounded number of items ahead.

    Memory stays bounded however long `items` is, and whoever stops taking results stops the work.
    """
    n_threads = min(8, os.cpu_count() or 1)
    remaining = iter(items)
    with ThreadPoolExecutor(n_threads) as pool:
        pending: deque[Future[Result]] = deque(
            pool.submit(function, item)
            for item in islice(remaining, n_threads * _AHEAD_PER_THREAD)
        )
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
