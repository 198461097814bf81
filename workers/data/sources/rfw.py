"""Racial Faces in the Wild: `data/<Race>/<id>/<id>_0001.jpg` and one pair list for each race."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from workers.data.sources.lfw import person_of
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

RACES = ("African", "Asian", "Caucasian", "Indian")


def is_rfw(store: PictureStore) -> bool:
    """Whether most pictures lie in a person's folder in one of the four races' folders."""
    return are_mostly(store.pictures, lambda name: _race_of(name) is not None)


def read_rfw(store: PictureStore, source: str) -> FaceSource:
    """The race of its folder is the group column `race` of every picture.

    Raises:
        DataError: No picture is called like RFW's, or a pair list is damaged.
    """
    rows: list[FaceRow] = []
    for name in store.pictures:
        race, person = _race_of(name), person_of(name)
        if race and person is not None:
            labels = {"race": race}
            rows.append(FaceRow(source=name, position=len(rows), identity=person, labels=labels))
    require_rows(rows, source, "data/African/m.01/m.01_0001.jpg")
    faces = FaceSource(rows=rows, columns=("race",), read=opener(store))
    faces = with_odd_names(faces, odd_names(store, rows, "RFW"))
    lists = {race: find_file(store, f"{race}_pairs.txt") for race in RACES}
    contents = {
        f"{source}/{name}": read_text(store, name, f"{source}/{name}")
        for name in lists.values()
        if name
    }
    if not contents:
        return faces
    present = {row.labels["race"] for row in rows}
    unlisted = [race for race, name in lists.items() if name is None and race in present]
    told = [f"{source}: no {race}_pairs.txt, so no pairs of {race} faces" for race in unlisted]
    return add_pairs(replace(faces, warnings=(*faces.warnings, *told)), contents)


def _race_of(picture: str) -> str | None:
    path = PurePosixPath(picture)
    race = path.parent.parent.name
    return race if race in RACES and person_of(picture) is not None else None
