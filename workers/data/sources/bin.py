"""InsightFace's verification sets as a source: pictures of people without names, and pairs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from workers.data.formats.pairs import PairList, read_bin
from workers.data.packs.table import IndexArray
from workers.data.sources.source import FaceRow, FaceSource

_NO_LABELS: Mapping[str, str] = {}


def open_bin_source(source: Path) -> FaceSource:
    """Read a `.bin` file; all of it tests.

    The file names nobody: pictures that its pairs say show one person make an identity,
    `person 0` and so on.

    Raises:
        DataError: It is damaged, or a pickle of something else.
        OSError: It cannot be read.
    """
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
    return FaceSource(rows=rows, columns=(), read=read, warnings=warnings, pairs=pairs)


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
