"""InsightFace's verification sets as a source: pictures of people without names, and pairs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from workers.data.formats.pairs import PairList, read_bin
from workers.data.packs.table import IndexArray
from workers.data.sources.pack_settings import DEFAULT_MEMORY_BYTES
from workers.data.sources.source import FaceRow, FaceSource
from workers.data.sources.stored import sound_pairs
from workers.errors import DataError

_COPIES = 3
"""The file, what is read of it, and the pictures that occur once."""

_NO_LABELS: Mapping[str, str] = {}


def open_bin_source(source: Path, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> FaceSource:
    """Read a `.bin` file; all of it tests.

    The file names nobody: pictures that its pairs say show one person make an identity,
    `person 0` and so on.

    Args:
        source: The file.
        memory_bytes: At most so much while it is read.

    Raises:
        DataError: It is damaged, a pickle of something else, or too large.
        OSError: It cannot be read.
    """
    _check_size(source, memory_bytes)
    pictures, pairs = read_bin(source)
    person = _people(len(pictures), pairs)
    rows = [
        FaceRow(
            source=f"picture {position}",
            position=position,
            identity=f"person {person[position]}",
            labels=_NO_LABELS,
            split="test",
        )
        for position in range(len(pictures))
    ]

    def read(row: FaceRow) -> Image.Image:
        return Image.open(io.BytesIO(pictures[row.position]))

    n_contradicted = int((~pairs.same & (person[pairs.first] == person[pairs.second])).sum())
    warnings = (
        (
            f"{source}: {n_contradicted} pairs are of different people, but other pairs say that "
            "these are one person",
        )
        if n_contradicted
        else ()
    )
    faces = FaceSource(rows=rows, columns=(), read=read, warnings=warnings, pairs=pairs)
    return sound_pairs(faces, str(source))


def _check_size(source: Path, memory_bytes: int) -> None:
    n_bytes = source.stat().st_size
    if n_bytes * _COPIES > memory_bytes:
        needed = n_bytes * _COPIES / 1e9
        raise DataError(
            f"{source}: takes {needed:,.3g} GB of memory to read, more than the "
            f"{memory_bytes / 1e9:.3g} GB allowed; raise --memory-gb if it is what it should be"
        )


def _people(n_pictures: int, pairs: PairList) -> IndexArray:
    """Each picture's person, int64 (n_pictures,): connected by genuine pairs."""
    above = list(range(n_pictures))

    def root(picture: int) -> int:
        while above[picture] != picture:
            above[picture] = above[above[picture]]
            picture = above[picture]
        return picture

    for first, second in zip(
        pairs.first[pairs.same].tolist(), pairs.second[pairs.same].tolist(), strict=True
    ):
        above[root(second)] = root(first)
    roots = np.array([root(picture) for picture in range(n_pictures)], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
