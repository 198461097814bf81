"""Which identities train, which choose, which test. By identity, never by image."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence

from workers.errors import DataError
from workers.settings import Split

_ROUNDING = 1e-9


def assign_splits(
    identities: Sequence[str],
    strata: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    max_val: int | None = None,
) -> dict[str, Split]:
    """Give every identity a split, the fractions kept within each stratum.

    Within a stratum identities are ordered by a hash of seed and name; the first ones test, the
    last ones choose (val), those between train. So the answer depends neither on the order of
    `identities` nor on other strata, and one more identity moves at most two others.
    Counts are rounded down, except that a split with a positive fraction gets at least two
    identities of every stratum of six or more (one of three or more), as far as they last.

    Args:
        identities: Distinct names.
        strata: For each identity what must be spread over the splits, such as its group.
        val_fraction: Share of the identities in val, 0..1.
        test_fraction: Share in test, 0..1; both together at most 1.
        seed: Another seed, another assignment.
        max_val: At most so many identities of a stratum are in val.

    Raises:
        DataError: A name occurs twice, the lengths differ, or the fractions are out of range.
    """
    _check(identities, strata, val_fraction, test_fraction)
    members: dict[str, list[str]] = defaultdict(list)
    for identity, stratum in zip(identities, strata, strict=True):
        members[stratum].append(identity)
    splits: dict[str, Split] = {}
    for names in members.values():
        ordered = sorted(names, key=lambda name: _draw(name, seed))
        n_test = _count(len(ordered), test_fraction)
        n_val = min(_count(len(ordered), val_fraction), len(ordered) - n_test)
        n_val = n_val if max_val is None else min(n_val, max_val)
        for position, name in enumerate(ordered):
            splits[name] = _split_at(position, n_test, len(ordered) - n_val)
    return splits


def _check(
    identities: Sequence[str], strata: Sequence[str], val_fraction: float, test_fraction: float
) -> None:
    if len(identities) != len(strata):
        raise DataError(f"{len(identities)} identities but {len(strata)} strata; give one each")
    if len(set(identities)) != len(identities):
        raise DataError("an identity occurs twice; give every identity once")
    if not (val_fraction >= 0 and test_fraction >= 0 and val_fraction + test_fraction <= 1):
        raise DataError(
            f"val fraction {val_fraction} and test fraction {test_fraction} must be 0 or more "
            "and at most 1 together"
        )


def _draw(name: str, seed: int) -> tuple[bytes, str]:
    """Where the identity stands in its stratum; the name itself breaks a tie of hashes."""
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "replace")).digest(), name


def _count(n_identities: int, fraction: float) -> int:
    if fraction == 0:
        return 0
    at_least = min(2, n_identities // 3)
    return max(math.floor(n_identities * fraction + _ROUNDING), at_least)


def _split_at(position: int, n_test: int, val_begins: int) -> Split:
    if position < n_test:
        return "test"
    return "train" if position < val_begins else "val"
