"""AgeDB: `<number>_<Name>_<age>_<m|f>.jpg`, all pictures in one folder."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath
from statistics import median_low

from workers.data.sources.picture_store import PictureStore
from workers.data.sources.source import FaceRow, FaceSource
from workers.data.sources.stored import (
    are_mostly,
    odd_names,
    opener,
    require_rows,
    with_odd_names,
)

AGE_BINS = ((30, "0-29"), (45, "30-44"), (60, "45-59"), (1000, "60+"))
"""Each bin ends below its first number."""

_STEM = re.compile(r"\d+_(?P<name>.+)_(?P<age>\d{1,3})_(?P<sex>[mf])", re.ASCII | re.IGNORECASE)


def is_agedb(store: PictureStore) -> bool:
    """Whether most pictures are called like AgeDB's."""
    return are_mostly(store.pictures, lambda name: _match(name) is not None)


def read_agedb(store: PictureStore, source: str) -> FaceSource:
    """Columns `gender` (f, m) and `age`.

    Pictures of one person span decades, and a group is of people, so a person's `age` is the bin
    that the middle one of its pictures' ages falls into (of two, the younger).

    Raises:
        DataError: No picture is called like AgeDB's.
    """
    matches = [(name, match) for name in store.pictures if (match := _match(name))]
    ages: dict[str, list[int]] = defaultdict(list)
    for _, match in matches:
        ages[match["name"]].append(int(match["age"]))
    age_of = {name: age_bin(median_low(own)) for name, own in ages.items()}
    rows = [
        FaceRow(
            source=name,
            position=position,
            identity=match["name"],
            labels={"gender": match["sex"].lower(), "age": age_of[match["name"]]},
        )
        for position, (name, match) in enumerate(matches)
    ]
    require_rows(rows, source, "12_AlGore_45_m.jpg")
    faces = FaceSource(rows=rows, columns=("gender", "age"), read=opener(store))
    return with_odd_names(faces, odd_names(store, rows, "AgeDB"))


def age_bin(age: int) -> str:
    """The bin of an age in years, 0 to 999."""
    return next(name for end, name in AGE_BINS if age < end)


def _match(picture: str) -> re.Match[str] | None:
    return _STEM.fullmatch(PurePosixPath(picture).stem)
