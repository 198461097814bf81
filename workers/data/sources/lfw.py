"""Labeled Faces in the Wild: `Name_Surname/Name_Surname_0001.jpg` and, at times, `pairs.txt`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from workers.data.sources.picture_store import PictureStore, find_file, read_text
from workers.data.sources.source import FaceRow, FaceSource
from workers.data.sources.stored import (
    add_pairs,
    are_mostly,
    odd_names,
    opener,
    require_rows,
    with_odd_names,
)

_STEM = re.compile(r"(?P<name>.+)_\d{4}", re.ASCII)


def person_of(picture: str) -> str | None:
    """The person whose name is both the folder's and the picture's; None if they differ."""
    path = PurePosixPath(picture)
    match = _STEM.fullmatch(path.stem)
    if match is None or match["name"] != path.parent.name:
        return None
    return match["name"]


def is_lfw(store: PictureStore) -> bool:
    """Whether most pictures are called like LFW's."""
    return are_mostly(store.pictures, lambda name: person_of(name) is not None)


def read_lfw(store: PictureStore, source: str) -> FaceSource:
    """LFW has no groups of its own; they come from a label file.

    Raises:
        DataError: No picture is called like LFW's, or the pair list is damaged.
    """
    rows: list[FaceRow] = []
    for name in store.pictures:
        person = person_of(name)
        if person is not None:
            rows.append(FaceRow(source=name, position=len(rows), identity=person, labels={}))
    require_rows(rows, source, "Name_Surname/Name_Surname_0001.jpg")
    faces = FaceSource(rows=rows, columns=(), read=opener(store))
    faces = with_odd_names(faces, odd_names(store, rows, "LFW"))
    pairs = find_file(store, "pairs.txt")
    if pairs is None:
        return faces
    place = f"{source}/{pairs}"
    return add_pairs(faces, {place: read_text(store, pairs, place)})
