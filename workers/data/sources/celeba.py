"""CelebA: three lists and the aligned pictures, as handed out or as copied by others.

Copies come with CR LF, with a header line, as comma-separated tables, and cut off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath

from workers.data.formats.text_lines import numbered_lines, short
from workers.data.packs.account import Gap, listed
from workers.data.packs.table import SPLITS
from workers.data.sources.picture_store import PictureStore, find_file, read_text
from workers.data.sources.source import FaceRow, FaceSource
from workers.data.sources.stored import opener
from workers.errors import DataError
from workers.settings import Split

IDENTITIES = "identity_CelebA"
ATTRIBUTES = "list_attr_celeba"
PARTITIONS = "list_eval_partition"

_MALE = "Male"
_MAX_HEADER_LINES = 2
_VALUES = {"1": 1, "-1": 0, "0": 0}


@dataclass(frozen=True, slots=True)
class _Attributes(Mapping[str, str]):
    """One picture's labels; as small as possible, for there are 200,000 of them."""

    numbers: Mapping[str, int]
    flags: bytes

    def __getitem__(self, column: str) -> str:
        if column == "gender":
            return "m" if self.flags[self.numbers[_MALE]] else "f"
        return "yes" if self.flags[self.numbers[column]] else "no"

    def __iter__(self) -> Iterator[str]:
        return iter(("gender", *self.numbers))

    def __len__(self) -> int:
        return len(self.numbers) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    values: Sequence[str]


def is_celeba(store: PictureStore) -> bool:
    """Whether the lists of people and attributes lie there."""
    return all(_find(store, name) is not None for name in (IDENTITIES, ATTRIBUTES))


def read_celeba(store: PictureStore, source: str) -> FaceSource:
    """The official partition is kept; `gender` is the attribute Male, m or f.

    All 40 attributes are columns (yes, no) as well, but only `gender` is a group unless others are
    named: most are of the picture, not of the person. Where both kinds of pictures are there, the
    aligned ones are taken.

    Raises:
        DataError: A list is missing or damaged; file and line are named.
    """
    places = {name: _place(store, source, name) for name in (IDENTITIES, ATTRIBUTES, PARTITIONS)}
    lines = {name: _lines(store, source, name) for name in places}
    identities = _column(lines[IDENTITIES], places[IDENTITIES])
    partitions = _partitions(lines[PARTITIONS], places[PARTITIONS])
    attributes, count = _attributes(lines[ATTRIBUTES], places[ATTRIBUTES])
    warnings = _count_warnings(count, len(attributes), places[ATTRIBUTES])
    named = dict.fromkeys([*identities, *attributes, *partitions])
    by_name = _pictures_by_name(store, named)
    announced = _announced(count, named)
    names = [name for name in identities if name in by_name]
    if not names:
        raise DataError(
            f"{places[IDENTITIES]}: none of its {len(identities)} pictures is in {source}; put "
            "img_align_celeba or its .zip there"
        )
    missing = [name for name in identities if name not in by_name]
    if missing:
        warnings.append(
            f"{places[IDENTITIES]}: {len(missing)} listed pictures are not in the source: "
            f"{listed(missing)}"
        )
    for known, kind in ((partitions, PARTITIONS), (attributes, ATTRIBUTES)):
        _check_covers(known, names, places[kind])
    rows = [
        FaceRow(
            source=by_name[name],
            position=position,
            identity=identities[name],
            labels=attributes[name],
            split=partitions[name],
        )
        for position, name in enumerate(names)
    ]
    columns = tuple(rows[0].labels)
    unlisted = Gap(
        reason=f"have no line in {PurePosixPath(places[IDENTITIES]).name}",
        names=[
            *(by_name.get(name, name) for name in named if name not in identities),
            *_strays(store, named),
        ],
    )
    editions = _other_editions(store, by_name)
    warnings += [gap.sentence() for gap in (unlisted, editions) if gap.names]
    absent = f"are listed in {PurePosixPath(places[IDENTITIES]).name} and not in the source"
    present = {row.identity for row in rows}
    return FaceSource(
        rows=rows,
        columns=columns,
        read=opener(store),
        warnings=tuple(warnings),
        usual_columns=("gender",),
        gaps=(
            Gap(reason=absent, names=missing),
            unlisted,
            announced,
            editions,
        ),
        people_gaps=(
            Gap(
                reason=absent,
                names=[name for name in dict.fromkeys(identities.values()) if name not in present],
            ),
        ),
    )


def _find(store: PictureStore, name: str) -> str | None:
    return find_file(store, f"{name}.txt", f"{name}.csv")


def _place(store: PictureStore, source: str, name: str) -> str:
    found = _find(store, name)
    if found is None:
        raise DataError(f"{source}: no {name}.txt inside; put CelebA's three lists there")
    return f"{source}/{found}"


def _lines(store: PictureStore, source: str, name: str) -> Iterator[_Line]:
    """One by one, for all at once take half a gigabyte."""
    place, found = _place(store, source, name), _find(store, name)
    assert found is not None
    for number, line in numbered_lines(read_text(store, found, place), place):
        values = line.replace(",", " ").split()
        # A line of separators only says as much as a blank one.
        if values:
            yield _Line(number=number, values=values)


def _is_picture(text: str) -> bool:
    return PurePosixPath(text).suffix.lower() in (".jpg", ".jpeg", ".png")


def _column(lines: Iterator[_Line], place: str) -> dict[str, str]:
    """Picture -> the one value in its line; lines before the first picture are a header."""
    _, lines = _without_header(lines, place)
    values: dict[str, str] = {}
    for line in lines:
        if len(line.values) != 2 or not _is_picture(line.values[0]):
            raise DataError(
                f"{place}, line {line.number}: {short(' '.join(line.values))} is not a picture "
                "and a number; the list is damaged, copy it again"
            )
        name, value = line.values
        if not (value.isascii() and value.isdigit()):
            raise DataError(f"{place}, line {line.number}: {short(value)} is no number")
        if values.setdefault(name, value) != value:
            raise DataError(
                f"{place}, line {line.number}: {name} is listed twice, as {values[name]} and as "
                f"{value}; keep one line"
            )
    return values


def _without_header(lines: Iterator[_Line], place: str) -> tuple[list[_Line], Iterator[_Line]]:
    """The header, at most a count and a line of names, and the lines from the first picture on."""
    header: list[_Line] = []
    for line in lines:
        if _is_picture(line.values[0]):
            return header, chain([line], lines)
        header.append(line)
        if len(header) > _MAX_HEADER_LINES:
            break
    raise DataError(f"{place}: lists no pictures in its first lines; is it CelebA's list?")


def _partitions(lines: Iterator[_Line], place: str) -> dict[str, Split]:
    numbers = _column(lines, place)
    wrong = next((name for name, number in numbers.items() if number not in "012"), None)
    if wrong is not None:
        raise DataError(
            f"{place}: {wrong} is in partition {short(numbers[wrong])}; there are 0, 1 and 2"
        )
    return {name: SPLITS[int(number)] for name, number in numbers.items()}


def _attributes(
    lines: Iterator[_Line], place: str
) -> tuple[dict[str, Mapping[str, str]], str | None]:
    """Picture -> labels, and how many pictures the first line announces, if it does."""
    top, lines = _without_header(lines, place)
    if not top:
        raise DataError(f"{place}: no line of attribute names at the top; copy the list again")
    header = list(top[-1].values)
    # Comma-separated copies name the first column too.
    if header[0].lower() in ("image_id", "image", "filename", "file"):
        del header[0]
    numbers = {name: index for index, name in enumerate(header)}
    if _MALE not in numbers or len(numbers) != len(header):
        raise DataError(
            f"{place}, line {top[-1].number}: no attribute {_MALE!r}, or one twice; "
            "copy the list again"
        )
    found: dict[str, Mapping[str, str]] = {}
    for line in lines:
        values = _attribute_values(line, len(header), place)
        attributes = _Attributes(numbers, values)
        if found.setdefault(line.values[0], attributes) != attributes:
            raise DataError(
                f"{place}, line {line.number}: {line.values[0]} is listed twice with other values"
            )
    counts = [line.values[0] for line in top if len(line.values) == 1]
    return found, counts[0] if counts else None


def _attribute_values(line: _Line, n_attributes: int, place: str) -> bytes:
    name, *values = line.values
    if not _is_picture(name) or len(values) != n_attributes:
        raise DataError(
            f"{place}, line {line.number}: {len(values)} values for {n_attributes} attributes of "
            f"{short(name)}; the list is damaged, copy it again"
        )
    wrong = next((value for value in values if value not in _VALUES), None)
    if wrong is not None:
        raise DataError(
            f"{place}, line {line.number}: value {short(wrong)} of {name} is neither 1 nor -1"
        )
    return bytes(_VALUES[value] for value in values)


def _count_warnings(count: str | None, n_found: int, place: str) -> list[str]:
    if count is None or count == str(n_found):
        return []
    return [f"{place}: announces {short(count)} pictures and lists {n_found}"]


def _announced(count: str | None, named: Collection[str]) -> Gap:
    """Pictures that the first line of the attributes announces and no list names."""
    n_more = int(count) - len(named) if count and count.isdigit() and len(count) <= 7 else 0
    reason = f"are announced by the first line of {ATTRIBUTES} and in no list"
    return Gap(reason=reason, names=[], n_unnamed=max(n_more, 0))


def _pictures_by_name(store: PictureStore, names: Iterable[str]) -> dict[str, str]:
    """Listed name -> name in the store, of those that are there.

    The lists name `.jpg`, also for the edition in PNG. Of several pictures the one in a folder
    called aligned is taken, and of these the one with the listed name.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for picture in store.pictures:
        by_stem[PurePosixPath(picture).stem].append(picture)
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        own = by_stem.get(PurePosixPath(name).stem)
        if own:
            found[name] = min(own, key=lambda picture: _rank(picture, name))
    return found


def _rank(picture: str, name: str) -> tuple[bool, bool, str]:
    return "align" not in picture.lower(), PurePosixPath(picture).name != name, picture


def _strays(store: PictureStore, named: Iterable[str]) -> list[str]:
    """Pictures that no list names."""
    known = {PurePosixPath(name).stem for name in named}
    return [name for name in store.pictures if PurePosixPath(name).stem not in known]


def _other_editions(store: PictureStore, by_name: Mapping[str, str]) -> Gap:
    chosen = set(by_name.values())
    known = {PurePosixPath(name).stem for name in by_name}
    return Gap(
        reason="are another edition of a picture that is taken",
        names=[
            name
            for name in store.pictures
            if name not in chosen and PurePosixPath(name).stem in known
        ],
        kind="chosen",
    )


def _check_covers(known: Mapping[str, object], names: Sequence[str], place: str) -> None:
    missing = [name for name in names if name not in known]
    if missing:
        raise DataError(
            f"{place}: has no line for {len(missing)} pictures: {listed(missing)}; it is cut off, "
            "copy it again"
        )
