"""Warnings about groups that are too small or too uneven to be compared well. Reads no file."""

from __future__ import annotations

import numpy as np

from workers.data.packs.table import SPLITS, BoolArray, GroupColumn, IndexArray, PackTable
from workers.settings import EvaluationSettings

MIN_GROUP_IDENTITIES = 30
MAX_IMAGES_RATIO = 1.25
MAX_IMAGES = EvaluationSettings().max_images_per_identity


def balance_warnings(table: PackTable) -> list[str]:
    """What blurs a comparison of groups, at most two sentences for each group column.

    A disparity rests on as many independent people as the smaller group has, and rank and error
    depend on images per person.
    """
    warnings: list[str] = []
    for name, column in table.groups.items():
        small: list[str] = []
        uneven: list[str] = []
        for code, split in enumerate(SPLITS):
            n_identities, n_images = _counts(table, column, table.split == code)
            if n_identities.any():
                small += _small(split, column, n_identities)
                uneven += _uneven(split, column, n_identities, n_images)
        if small:
            warnings.append(
                f"{name!r}: fewer than {MIN_GROUP_IDENTITIES} identities of a group in "
                f"{'; '.join(small)}; differences between groups will be uncertain"
            )
        if uneven:
            warnings.append(
                f"{name!r}: images per identity differ between groups in {'; '.join(uneven)}, "
                f"counting at most {MAX_IMAGES} each; rank and error depend on it"
            )
    return warnings


def _counts(
    table: PackTable, column: GroupColumn, chosen: BoolArray
) -> tuple[IndexArray, IndexArray]:
    """Identities of each label among the chosen rows, and their images that evaluation takes.

    Returns:
        Both of shape (n_labels,).
    """
    known = chosen & (column.codes >= 0)
    _, first, counts = np.unique(table.identity[known], return_index=True, return_counts=True)
    codes, n_labels = column.codes[known][first], len(column.labels)
    n_identities = np.bincount(codes, minlength=n_labels)
    n_images = np.zeros(n_labels, np.int64)
    np.add.at(n_images, codes, np.minimum(counts, MAX_IMAGES))
    return n_identities, n_images


def _small(split: str, column: GroupColumn, n_identities: IndexArray) -> list[str]:
    too_few = n_identities < MIN_GROUP_IDENTITIES
    shown = [
        f"{column.labels[code]} {n_identities[code]}" for code in np.flatnonzero(too_few).tolist()
    ]
    return [f"{split} ({', '.join(shown)})"] if shown else []


def _uneven(
    split: str, column: GroupColumn, n_identities: IndexArray, n_images: IndexArray
) -> list[str]:
    present = np.flatnonzero(n_identities)
    means = n_images[present] / n_identities[present]
    if means.max() <= MAX_IMAGES_RATIO * means.min():
        return []
    shown = [
        f"{column.labels[code]} {mean:.1f}" for code, mean in zip(present, means, strict=True)
    ]
    return [f"{split} (mean {', '.join(shown)})"]
