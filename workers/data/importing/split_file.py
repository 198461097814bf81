"""A file that says which identities train, choose and test: columns identity and split."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from results.atomic import write_text_atomically
from workers.data.formats.bounded_file import read_list
from workers.data.formats.label_table import read_table
from workers.data.packs.account import listed
from workers.data.packs.pack import SPLITS, Pack
from workers.data.sources.source import FaceRow, parse_split
from workers.errors import DataError
from workers.settings import Split


def read_split_file(path: Path) -> dict[str, Split]:
    """Identity -> split.

    Raises:
        DataError: There is no such file, it is no such table, or it puts an identity into two
            splits; the line is named.
    """
    return parse_split_file(read_list(path), str(path))


def parse_split_file(data: bytes, place: str) -> dict[str, Split]:
    """Like `read_split_file`, of a file's content; `place` is its name, for messages."""
    header, records = read_table(data, place)
    lower = [name.lower() for name in header]
    if "identity" not in lower or "split" not in lower:
        raise DataError(
            f"{place}, line 1: needs the columns identity and split; it has {', '.join(header)}"
        )
    splits: dict[str, Split] = {}
    first_lines: dict[str, int] = {}
    for line, values in records:
        identity = values[lower.index("identity")]
        split = parse_split(values[lower.index("split")], f"{place}, line {line}")
        if not identity:
            raise DataError(f"{place}, line {line}: names nobody; fill in the identity")
        if splits.setdefault(identity, split) != split:
            raise DataError(
                f"{place}, line {line}: identity {identity!r} is in {split}, but in "
                f"{splits[identity]} in line {first_lines[identity]}; give it one split"
            )
        first_lines.setdefault(identity, line)
    if not splits:
        raise DataError(f"{place}: lists nobody; give one line for each identity")
    return splits


def with_splits(
    rows: Sequence[FaceRow], splits: Mapping[str, Split], place: str
) -> tuple[list[FaceRow], list[str]]:
    """The rows with the given splits, without those of people not listed; and warnings.

    Raises:
        DataError: Nobody of the source is listed.
    """
    kept = [replace(row, split=splits[row.identity]) for row in rows if row.identity in splits]
    if not kept:
        raise DataError(
            f"{place}: lists nobody of the source; it lists {listed(list(splits)[:1])}, the "
            f"source holds {rows[0].identity}"
        )
    present = {row.identity for row in rows}
    warnings: list[str] = []
    left_out = sorted(present - set(splits))
    if left_out:
        warnings.append(
            f"{place}: {len(left_out)} identities have no split and were left out: "
            f"{listed(left_out)}"
        )
    missing = [name for name in splits if name not in present]
    if missing:
        warnings.append(
            f"{place}: {len(missing)} listed identities are not in the source: {listed(missing)}"
        )
    return kept, warnings


def write_split_file(path: Path, splits: Mapping[str, Split]) -> None:
    """Write what `read_split_file` reads, sorted by identity.

    Raises:
        DataError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["identity", "split"])
    writer.writerows(sorted(splits.items()))
    try:
        write_text_atomically(path, text.getvalue())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def splits_of(pack: Pack) -> dict[str, Split]:
    """Identity -> split, of a pack."""
    numbers, first = np.unique(pack.identity, return_index=True)
    return {
        pack.identities[number]: SPLITS[pack.split[row]]
        for number, row in zip(numbers.tolist(), first.tolist(), strict=True)
    }
