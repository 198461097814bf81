"""VGGFace2: `identity_meta.csv` and `train|test/n000001/0001_01.jpg`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from workers.data.formats.text_lines import numbered_lines, short
from workers.data.packs.account import Gap, listed
from workers.data.sources.picture_store import PictureStore, find_file, read_text
from workers.data.sources.source import FaceRow, FaceSource, clean_label
from workers.data.sources.stored import opener, require_rows
from workers.errors import DataError

META = "identity_meta.csv"
VAL_IDENTITIES = 200
"""Of each gender, taken out of train, as FR-NAS did; the set has no val split of its own."""

_HEADER = ["class_id", "name", "sample_num", "flag", "gender"]
_CLASS = re.compile(r"n\d{6}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    is_train: bool
    gender: str
    n_pictures: int

    @property
    def folder(self) -> str:
        """The folder of the set that the person lies in."""
        return "train" if self.is_train else "test"


def is_vggface2(store: PictureStore) -> bool:
    """Whether the list of people lies there."""
    return find_file(store, META) is not None


def read_vggface2(store: PictureStore, source: str) -> FaceSource:
    """The official test people test; who trains and who chooses is drawn from the others.

    Column `gender`, f or m.

    Raises:
        DataError: The list is missing or damaged, or no picture belongs to it; file and line are
            named.
    """
    name = find_file(store, META)
    if name is None:
        raise DataError(f"{source}: no {META} inside; put VGGFace2's list of people there")
    place = f"{source}/{name}"
    people = parse_identity_meta(read_text(store, name, place), place)
    rows: list[FaceRow] = []
    strangers: list[str] = []
    moved: list[str] = []
    for picture in store.pictures:
        path = PurePosixPath(picture)
        person = people.get(path.parent.name)
        if person is None:
            strangers.append(picture)
            continue
        if path.parent.parent.name in {"train", "test"} - {person.folder}:
            moved.append(picture)
        rows.append(_row(picture, len(rows), person))
    require_rows(rows, source, "train/n000002/0001_01.jpg")
    absent = _absent(people, rows)
    return FaceSource(
        rows=rows,
        columns=("gender",),
        read=opener(store),
        warnings=(
            *_warnings(place, strangers, moved),
            *(f"{place}: {gap.sentence()}" for gap in absent),
        ),
        max_val_identities=VAL_IDENTITIES,
        gaps=(Gap(reason=_STRANGE, names=strangers), *absent),
        people_gaps=(
            Gap(reason=_STRANGE, names=sorted({_person_of(name) for name in strangers} - {""})),
            *_absent_people(people, rows),
        ),
    )


_STRANGE = f"are of nobody whom {META} lists"


def _person_of(picture: str) -> str:
    return PurePosixPath(picture).parent.name


def _absent(people: Mapping[str, _Person], rows: Sequence[FaceRow]) -> list[Gap]:
    """The pictures that the list announces, Sample_Num for each person, and that are not there.

    They are told and not counted as missing: the list is of the published set, and copies with
    fewer pictures of each person are usual. A person without any is missing.
    """
    found = Counter(row.identity for row in rows)
    missing: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for name, person in people.items():
        if found[name] < person.n_pictures:
            missing[person.folder][name] = person.n_pictures - found[name]
    there = _folders_there(people, rows)
    return [
        Gap(
            reason=_absence(folder, there),
            names=[
                f"{name} ({people[name].n_pictures - n} of {people[name].n_pictures})"
                for name, n in own.items()
            ],
            n_unnamed=sum(own.values()) - len(own),
            kind="chosen",
        )
        for folder, own in missing.items()
        if own
    ]


def _absent_people(people: Mapping[str, _Person], rows: Sequence[FaceRow]) -> list[Gap]:
    present = {row.identity for row in rows}
    there = _folders_there(people, rows)
    return [
        Gap(
            reason=_absence(folder, there),
            names=[
                name
                for name, person in people.items()
                if person.folder == folder and name not in present
            ],
            kind="missing" if folder in there else "chosen",
        )
        for folder in ("train", "test")
    ]


def _folders_there(people: Mapping[str, _Person], rows: Sequence[FaceRow]) -> set[str]:
    """Who has only train or only test wants no more than that."""
    return {people[row.identity].folder for row in rows}


def _absence(folder: str, there: Collection[str]) -> str:
    if folder in there:
        return f"are announced by {META} and not in the source"
    return f"are of {folder}, of which nothing is in the source"


def _row(picture: str, position: int, person: _Person) -> FaceRow:
    return FaceRow(
        source=picture,
        position=position,
        identity=PurePosixPath(picture).parent.name,
        labels={"gender": person.gender},
        split=None if person.is_train else "test",
    )


def _warnings(place: str, strangers: list[str], moved: list[str]) -> list[str]:
    warnings = []
    if strangers:
        warnings.append(
            f"{place}: {len(strangers)} pictures are of nobody it lists and were left out: "
            f"{listed(strangers)}"
        )
    if moved:
        warnings.append(
            f"{place}: {len(moved)} pictures lie in the other folder than it says, and it was "
            f"believed: {listed(moved)}"
        )
    return warnings


def parse_identity_meta(data: bytes, place: str) -> dict[str, _Person]:
    """Class -> person.

    Names hold commas and quotes, in some copies doubled ones, and the other four values never do;
    so a line is taken apart from both ends.

    Raises:
        DataError: The header or a line is something else; the line is named.
    """
    lines = list(numbered_lines(data, place))
    if not lines or [value.strip().lower() for value in lines[0][1].split(",")] != _HEADER:
        raise DataError(
            f"{place}, line 1: no header 'Class_ID, Name, Sample_Num, Flag, Gender'; is it "
            "VGGFace2's list?"
        )
    people: dict[str, _Person] = {}
    for number, line in lines[1:]:
        values = [line.split(",", 1)[0], *line.rsplit(",", 3)[1:]]
        class_id, *rest = (value.strip().strip('"').strip() for value in values)
        if not _CLASS.fullmatch(class_id) or len(rest) != 3 or line.count(",") < 4:
            raise DataError(
                f"{place}, line {number}: {short(line)} is no person; the list is damaged, copy "
                "it again"
            )
        person = _person(rest, f"{place}, line {number}")
        if people.setdefault(class_id, person) != person:
            raise DataError(
                f"{place}, line {number}: {class_id} is listed twice with other values"
            )
    return people


def _person(values: Sequence[str], place: str) -> _Person:
    """Of the number of pictures, the flag and the gender; copies without a number are taken."""
    number, flag, gender = values
    label = clean_label(gender).lower()
    if flag not in ("0", "1"):
        raise DataError(f"{place}: flag {short(flag)} is neither 1 (train) nor 0 (test)")
    if label not in ("", "f", "m"):
        raise DataError(f"{place}: gender {short(gender)} is neither m nor f")
    is_number = number.isascii() and number.isdigit() and len(number) <= 6
    n_pictures = int(number) if is_number else 0
    return _Person(is_train=flag == "1", gender=label, n_pictures=n_pictures)
