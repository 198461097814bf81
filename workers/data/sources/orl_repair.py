"""ORL pictures in which a program that took them for text turned every LF into CR LF.

Such a file is too long, and opens without an error but sheared: each inserted CR moves the rest by
a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from math import comb

import numpy as np

HEADER = b"P5\n92 112\n255\n"
WIDTH, HEIGHT = 92, 112
N_BYTES = len(HEADER) + WIDTH * HEIGHT

_MAX_VARIANTS = 20_000
_N_HEADER_LINES = HEADER.count(b"\n")


def repaired(data: bytes) -> bytes:
    """The file as it was, 10,318 bytes.

    A CR LF that was in the picture before looks like an inserted one; where there are such, the
    choice that leaves the picture smoothest from row to row is taken.

    Raises:
        ValueError: The file is damaged in another way.
    """
    n_inserted = len(data) - N_BYTES
    if n_inserted == 0:
        return data
    places = _crlf_places(data)
    n_kept = len(places) - n_inserted
    header_end = len(HEADER) + _N_HEADER_LINES
    if n_inserted < _N_HEADER_LINES or n_kept < 0 or places[2:3] != [header_end - 2]:
        raise ValueError(f"{len(data)} bytes instead of {N_BYTES}, not by line ends alone")
    inside = places[_N_HEADER_LINES:]
    if comb(len(inside), n_kept) > _MAX_VARIANTS:
        raise ValueError(f"{n_kept} of {len(inside)} line ends may be pixels, too many to try")
    variants = (_without(data, set(places) - set(kept)) for kept in combinations(inside, n_kept))
    return _smoothest(variants)


def _crlf_places(data: bytes) -> list[int]:
    values = np.frombuffer(data, np.uint8)
    return np.flatnonzero((values[:-1] == 13) & (values[1:] == 10)).tolist()


def _without(data: bytes, places: Iterable[int]) -> bytes:
    return bytes(np.delete(np.frombuffer(data, np.uint8), sorted(places)))


def _smoothest(variants: Iterable[bytes]) -> bytes:
    return min(variants, key=_variation)


def _variation(data: bytes) -> int:
    """Sum of the steps from each pixel to the one below."""
    pixels = np.frombuffer(data, np.uint8, offset=len(HEADER)).astype(np.int64)
    return int(np.abs(np.diff(pixels.reshape(HEIGHT, WIDTH), axis=0)).sum())
