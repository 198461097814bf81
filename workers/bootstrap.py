"""95 % intervals for every objective, by resampling identities within their groups.

Images of one identity are alike, so that resampling images would understate the error of a
disparity more than twofold; identities are the independent units.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from workers.angles import IntArray
from workers.metrics import Ranks

FloatArray: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

QUANTILES = (0.025, 0.975)
_REPLICATES_PER_BLOCK = 100


def bootstrap_intervals(
    ranks: Ranks, *, identity: IntArray, codes: IntArray, n_replicates: int, seed: int
) -> dict[str, Interval]:
    """Percentile intervals of error, rank disparity, disparity and worst group error.

    Each replicate draws, within every group, as many identities as there are, with replacement;
    an identity brings all its probes in that group along. A gap between groups cannot be negative,
    which would push its percentiles away from zero; so the *signed* difference of each pair of
    groups is resampled and folded: a pair whose interval holds zero starts at zero. The largest
    of several (pairs for a gap, groups for the worst error) has as bounds the largest lower and
    the largest upper bound.

    Args:
        ranks: Of n images; those without a mate are left out.
        identity: Integers (n,).
        codes: Group of each image (n,), negative where unknown: these count for the error only.
        n_replicates: Resamplings, at least 1.
        seed: Of the resampling; the same seed gives the same intervals.

    Raises:
        ValueError: No image has a mate, or fewer than two groups have one.
    """
    is_probe = ranks.rank_by_identity >= 0
    totals = _resampled_totals(
        ranks.rank_by_identity[is_probe], identity[is_probe], codes[is_probe], n_replicates, seed
    )
    groups = [total for code, total in totals.items() if code >= 0]
    if len(groups) < 2:
        raise ValueError("an interval needs probes with a mate in two groups or more")
    pooled = np.sum(list(totals.values()), axis=0)
    errors = [total[:, 1] / total[:, 0] for total in groups]
    mean_ranks = [total[:, 2] / total[:, 0] for total in groups]
    return {
        "error": _interval(pooled[:, 1] / pooled[:, 0]),
        "rank_disparity": _interval_of_gap(mean_ranks),
        "disparity": _interval_of_gap(errors),
        "worst_group_error": _largest([_interval(error) for error in errors]),
    }


def _resampled_totals(
    ranks: NDArray[np.int64], identity: IntArray, codes: IntArray, n_replicates: int, seed: int
) -> Mapping[int, FloatArray]:
    """By group code, (n_replicates, 3): probes, errors and summed ranks of each resampling."""
    generator = np.random.default_rng([seed, len(ranks)])
    values = np.stack([np.ones(len(ranks)), ranks != 0, ranks], axis=1).astype(np.float64)
    totals: dict[int, FloatArray] = {}
    for code in np.unique(codes):
        rows = codes == code
        _, member = np.unique(identity[rows], return_inverse=True)
        sums = np.zeros((int(member.max()) + 1, 3))
        np.add.at(sums, member, values[rows])
        totals[int(code)] = _weighted_sums(sums, n_replicates, generator)
    return totals


def _weighted_sums(
    sums: FloatArray, n_replicates: int, generator: np.random.Generator
) -> FloatArray:
    """Sums over identities, each weighted by how often a replicate drew it."""
    n_identities = len(sums)
    shares = np.full(n_identities, 1.0 / n_identities)
    blocks = [
        generator.multinomial(
            n_identities, shares, size=min(_REPLICATES_PER_BLOCK, n_replicates - start)
        ).astype(np.float64)
        @ sums
        for start in range(0, n_replicates, _REPLICATES_PER_BLOCK)
    ]
    return np.concatenate(blocks)


def _interval(replicates: FloatArray) -> Interval:
    low, high = np.quantile(replicates, QUANTILES)
    return float(low), float(high)


def _interval_of_gap(by_group: list[FloatArray]) -> Interval:
    return _largest([_folded(_interval(a - b)) for a, b in combinations(by_group, 2)])


def _folded(interval: Interval) -> Interval:
    """The interval of |x| when `interval` is that of x."""
    low, high = interval
    if low <= 0.0 <= high:
        return 0.0, max(-low, high)
    return min(abs(low), abs(high)), max(abs(low), abs(high))


def _largest(intervals: list[Interval]) -> Interval:
    return max(low for low, _ in intervals), max(high for _, high in intervals)
