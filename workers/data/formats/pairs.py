"""Pairs of pictures to verify: the lists of LFW and RFW, and InsightFace's `.bin` files.

A pack keeps them as a table of row numbers, so that 10-fold verification needs nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.data.formats.plain_pickle import load_plain
from workers.data.formats.text_lines import numbered_lines, short
from workers.errors import DataError

N_FOLDS = 10
_MAX_FOLDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairList:
    """Pairs of pictures by number.

    Attributes:
        first: int64 (n_pairs,); a picture, in a pack its row.
        second: int64 (n_pairs,); the picture it is compared with.
        same: bool (n_pairs,); whether both show one person.
        fold: int64 (n_pairs,); the fold of a cross-validation, from 0.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {len(self.first), len(self.second), len(self.same), len(self.fold)}
        if len(lengths) > 1:
            raise ValueError(f"columns of a pair list have {sorted(lengths)} rows")

    def __len__(self) -> int:
        return len(self.first)

    def renumbered(self, numbers: npt.NDArray[np.int64]) -> PairList:
        """The pairs with picture `i` called `numbers[i]`; a pair with a -1 is left out."""
        first, second = numbers[self.first], numbers[self.second]
        renumbered = replace(self, first=first, second=second)
        return renumbered.chosen((first >= 0) & (second >= 0))

    def chosen(self, kept: npt.NDArray[np.bool_]) -> PairList:
        """Some of the pairs; `kept` is bool (n_pairs,)."""
        return PairList(
            first=self.first[kept],
            second=self.second[kept],
            same=self.same[kept],
            fold=self.fold[kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPairs:
    """Pairs of pictures by name.

    Attributes:
        first: `Name/Name_0001`, without a suffix.
        second: Likewise.
        same: Whether both show one person.
        fold: From 0.
    """

    first: Sequence[str]
    second: Sequence[str]
    same: Sequence[bool]
    fold: Sequence[int]


def parse_lfw_pairs(data: bytes, place: str) -> NamedPairs:
    """Pairs of a list in the format of LFW or RFW.

    LFW's first line says how many folds there are and how many pairs of each kind in one; RFW has
    no such line and ten folds. Then three values are one person and two picture numbers, four are
    two people with a picture number each. Between them are tabs or blanks.

    Raises:
        DataError: A line is something else, there are no pairs, or fewer or more than announced.
    """
    announced: tuple[int, int] | None = None
    pairs: list[tuple[str, str, bool]] = []
    for number, line in numbered_lines(data, place):
        values = line.split("\t") if "\t" in line else line.split()
        values = [value.strip() for value in values]
        if not pairs and announced is None and len(values) <= 2:
            announced = _announced(values, f"{place}, line {number}")
        else:
            pairs.append(_pair(values, f"{place}, line {number}"))
    if not pairs:
        raise DataError(f"{place}: no pairs inside; give a list such as LFW's pairs.txt")
    return NamedPairs(
        first=[first for first, _, _ in pairs],
        second=[second for _, second, _ in pairs],
        same=[same for _, _, same in pairs],
        fold=_folds(len(pairs), announced, place),
    )


def _announced(values: Sequence[str], place: str) -> tuple[int, int]:
    """Folds and pairs of each kind; a list with one fold gives the pairs only."""
    if not all(_is_number(value) for value in values):
        raise DataError(f"{place}: {short(' '.join(values))} is neither a pair nor a count")
    numbers = [int(value) for value in values]
    n_folds, n_pairs = (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    if not n_folds or not n_pairs:
        raise DataError(f"{place}: announces no pairs; copy the list again")
    if n_folds > _MAX_FOLDS:
        raise DataError(f"{place}: announces {n_folds:,} folds; there are at most {_MAX_FOLDS:,}")
    return n_folds, n_pairs


def _pair(values: Sequence[str], place: str) -> tuple[str, str, bool]:
    if len(values) == 3 and _is_number(values[1]) and _is_number(values[2]):
        return _picture(values[0], values[1]), _picture(values[0], values[2]), True
    if len(values) == 4 and _is_number(values[1]) and _is_number(values[3]):
        same = values[0] == values[2]
        return _picture(values[0], values[1]), _picture(values[2], values[3]), same
    raise DataError(
        f"{place}: {short(' '.join(values))} is no pair; write 'name n1 n2' or 'name1 n1 name2 n2'"
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _picture(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}"


def _folds(n_pairs: int, announced: tuple[int, int] | None, place: str) -> list[int]:
    """Equal stretches of the list, as in the published lists."""
    if announced is None:
        return [int(fold) for fold in even_folds(n_pairs)]
    n_folds, n_each = announced
    if n_pairs != 2 * n_folds * n_each:
        raise DataError(
            f"{place}: {n_pairs} pairs, but its first line announces {2 * n_folds * n_each}; it "
            "is cut off or edited, copy it again"
        )
    return [index // (2 * n_each) for index in range(n_pairs)]


def even_folds(n_pairs: int) -> npt.NDArray[np.int64]:
    """Ten stretches of a list, equal but for one pair: int64 (n_pairs,)."""
    parts = np.array_split(np.arange(n_pairs), N_FOLDS)
    return np.repeat(np.arange(N_FOLDS, dtype=np.int64), [len(part) for part in parts])


def dealt_folds(same: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """At most ten folds, int64 (n_pairs,), with as many pairs of each kind in one as in another.

    Args:
        same: bool (n_pairs,). Pairs of each kind come in the list's order.
    """
    rarer = min((n for n in (int(same.sum()), int((~same).sum())) if n), default=0)
    n_folds = min(N_FOLDS, max(rarer, 1))
    fold = np.zeros(len(same), np.int64)
    for kind in (same, ~same):
        rows = np.flatnonzero(kind)
        fold[rows] = np.arange(len(rows)) * n_folds // max(len(rows), 1)
    return fold


def index_pairs(named: NamedPairs, numbers: Mapping[str, int]) -> tuple[PairList, list[str]]:
    """The pairs by picture number, and the pictures that have none; pairs with one are left out.

    Args:
        named: The pairs by name.
        numbers: `Name/Name_0001` -> number.
    """
    wanted = dict.fromkeys([*named.first, *named.second])
    listed = PairList(
        first=np.array([numbers.get(name, -1) for name in named.first], np.int64),
        second=np.array([numbers.get(name, -1) for name in named.second], np.int64),
        same=np.array(named.same, np.bool_),
        fold=np.array(named.fold, np.int64),
    )
    # The last number is a -1 that stays one.
    itself = np.append(np.arange(max(numbers.values(), default=-1) + 1), -1)
    return listed.renumbered(itself), [name for name in wanted if name not in numbers]


def joined(lists: Sequence[PairList]) -> PairList | None:
    """All the pairs one behind the other, each in its own list's fold; None without any."""
    if not lists:
        return None
    return PairList(
        first=np.concatenate([pairs.first for pairs in lists]),
        second=np.concatenate([pairs.second for pairs in lists]),
        same=np.concatenate([pairs.same for pairs in lists]),
        fold=np.concatenate([pairs.fold for pairs in lists]),
    )


def read_bin(path: Path) -> tuple[list[bytes], PairList]:
    """Read an InsightFace verification set, such as `lfw.bin` or `agedb_30.bin`.

    Such a file is a pickle of two lists: encoded pictures, two for each pair, and whether each
    pair shows one person. Nothing in it is run. A picture that occurs in several pairs is
    returned once.

    Returns:
        Encoded pictures, and the pairs in ten folds of the file's order.

    Raises:
        DataError: It is no such pickle, or names a function.
        OSError: It cannot be read.
    """
    value = load_plain(path.read_bytes(), str(path))
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise DataError(f"{path}: no pair of lists, so no verification set")
    pictures = _pictures(value[0], path)
    same = _same(value[1], path)
    if not same or len(pictures) != 2 * len(same):
        raise DataError(
            f"{path}: {len(pictures)} pictures for {len(same)} pairs; a verification set has two "
            "for each pair, so it is damaged; copy it again"
        )
    by_content: dict[bytes, int] = {}
    unique: list[bytes] = []
    numbers = np.empty(len(pictures), np.int64)
    for index, picture in enumerate(pictures):
        number = by_content.setdefault(hashlib.sha256(picture).digest(), len(unique))
        if number == len(unique):
            unique.append(picture)
        numbers[index] = number
    pairs = PairList(
        first=numbers[0::2],
        second=numbers[1::2],
        same=np.array(same, np.bool_),
        fold=even_folds(len(same)),
    )
    return unique, pairs


def _pictures(value: Any, path: Path) -> list[bytes]:
    if not isinstance(value, list | tuple):
        raise DataError(f"{path}: no list of pictures, so no verification set")
    for index, picture in enumerate(value):
        if not isinstance(picture, bytes):
            raise DataError(f"{path}: picture {index} is no encoded picture but other data")
    return list(value)


def _same(value: Any, path: Path) -> list[bool]:
    if not isinstance(value, list | tuple):
        raise DataError(f"{path}: no list of answers, so no verification set")
    for index, answer in enumerate(value):
        if not isinstance(answer, bool | int) or answer not in (0, 1):
            raise DataError(f"{path}: answer {index} is neither true nor false")
    return [bool(answer) for answer in value]
