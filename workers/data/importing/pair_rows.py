"""A source's pairs as rows of a pack, and those of them that nobody will verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workers.data.formats.pairs import PairList
from workers.data.packs.account import Gap
from workers.data.packs.table import SPLITS, PackTable
from workers.data.sources.source import FaceRow, FaceSource


def with_pairs(
    table: PackTable, faces: FaceSource, rows: Sequence[FaceRow], warnings: list[str]
) -> PackTable:
    """The table with the source's pairs, by row instead of by position."""
    if faces.pairs is None:
        return table
    numbers = np.full(len(faces.rows), -1, np.int64)
    numbers[[row.position for row in rows]] = np.arange(len(rows))
    pairs = faces.pairs.renumbered(numbers)
    n_lost = len(faces.pairs) - len(pairs)
    if n_lost:
        warnings.append(f"{n_lost} pairs have a picture that was left out, and so were they")
    trains = table.split == SPLITS.index("train")
    n_training = int((trains[pairs.first] | trains[pairs.second]).sum())
    if n_training:
        warnings.append(
            f"{n_training} of {len(pairs)} pairs have a picture of somebody who trains; verify "
            "with a pack of its own (--val 0 --test 1), or leave these pairs out"
        )
    warnings += _unverified(table, pairs)
    return replace(table, pairs=pairs)


def _unverified(table: PackTable, pairs: PairList) -> list[str]:
    """Pairs are verified within a split, each fold by a threshold of the others."""
    warnings: list[str] = []
    first, second = table.split[pairs.first], table.split[pairs.second]
    is_trained = (first == SPLITS.index("train")) | (second == SPLITS.index("train"))
    n_across = int(((first != second) & ~is_trained).sum())
    if n_across:
        warnings.append(
            f"{n_across} of {len(pairs)} pairs have one picture in val and one in test and are "
            "verified in neither; verify with a pack of its own (--val 0 --test 1)"
        )
    for code, split in enumerate(SPLITS[1:], start=1):
        own = pairs.chosen((first == code) & (second == code))
        if len(own) and (len(np.unique(own.fold)) < 2 or len(np.unique(own.same)) < 2):
            warnings.append(
                f"the {len(own)} pairs within {split} are of one fold or of one kind and cannot "
                "be verified; verify with a pack of its own (--val 0 --test 1)"
            )
    return warnings


def lost_pairs(faces: FaceSource, rows: Sequence[FaceRow]) -> Gap:
    """Pairs with a picture that was left out."""
    names: list[str] = []
    if faces.pairs is not None:
        kept = np.zeros(len(faces.rows), np.bool_)
        kept[[row.position for row in rows]] = True
        lost = faces.pairs.chosen(~(kept[faces.pairs.first] & kept[faces.pairs.second]))
        names = [
            f"{faces.rows[first].source} {faces.rows[second].source}"
            for first, second in zip(lost.first.tolist(), lost.second.tolist(), strict=True)
        ]
    return Gap(reason="have a picture that was left out", names=names, kind="chosen")
