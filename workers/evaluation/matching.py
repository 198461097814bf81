"""All pairs of a split compared at one threshold: false matches and non-matches of each group.

Counts pairs by the two identities, so that both can be resampled. Never holds all similarities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.errors import DataError
from workers.evaluation.angles import IntArray
from workers.evaluation.catalogue import (
    CATALOGUE,
    FloatArray,
    Rates,
    between_groups,
    costs_between,
    values_of,
)
from workers.evaluation.intervals import Interval, cost_intervals, weighted_draws

MAX_IDENTITIES = 2000
"""A larger split is represented by so many identities of it, a seeded choice."""

_BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairCounts:
    """Pairs within one group of k identities, at one threshold.

    Attributes:
        n_images: (k,).
        n_genuine: (k,): pairs of two images of the identity.
        n_missed: (k,): those at or below the threshold.
        matches: (k, k), symmetric, zero on the diagonal: impostor pairs above the threshold.
    """

    n_images: FloatArray
    n_genuine: FloatArray
    n_missed: FloatArray
    matches: FloatArray

    def weighted(self, weights: FloatArray) -> FloatArray:
        """(b, 4): impostor pairs, false matches, genuine pairs, misses, under weights (b, k).

        A pair counts as often as the product of how often its two identities were drawn: both
        sides are resampled. Copies of one identity are no impostors of each other.
        """
        images = weights @ self.n_images
        n_impostor = (images**2 - weights**2 @ self.n_images**2) / 2
        n_false = ((weights @ self.matches) * weights).sum(axis=1) / 2
        return np.stack(
            [n_impostor, n_false, weights @ self.n_genuine, weights @ self.n_missed], axis=1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Verification within one split.

    Attributes:
        costs: Every metric of verification that can be an objective.
        interval95: Of each cost.
        report: Everything as a JSON object.
    """

    costs: Mapping[str, float]
    interval95: Mapping[str, Interval]
    report: Mapping[str, Any]


def match_all_pairs(
    embeddings: Tensor,
    *,
    identity: IntArray,
    codes: IntArray,
    labels: Sequence[str],
    fmr: float,
    n_replicates: int,
) -> Matching:
    """False matches and non-matches of each group at the threshold of all impostor pairs together.

    The threshold is the lowest that at most `fmr` of *all* impostor pairs exceed. A group's own
    impostor pairs are those within the group, whose faces are more alike.

    Args:
        embeddings: (n, d) on any device, L2-normalised, finite.
        identity: Integers (n,).
        codes: Group of each image (n,), negative where unknown.
        labels: Names of the groups, in the order of the codes.
        fmr: False match rate of all pairs together, 0..1.
        n_replicates: Of the intervals: identities are resampled, the threshold is held fixed.

    Raises:
        DataError: Fewer than two groups have genuine and impostor pairs.
    """
    rows = _chosen(identity, codes)
    identity, codes = identity[rows], codes[rows]
    vectors = embeddings[torch.from_numpy(rows).to(embeddings.device)].to(torch.float32)
    threshold, n_impostor = pooled_threshold(vectors, identity, fmr)
    counts, pooled = count_pairs(vectors, identity, codes, threshold)
    named = {
        labels[code]: of_group for code, of_group in counts.items() if _is_comparable(of_group)
    }
    if len(named) < 2:
        raise DataError(
            f"verification cannot be compared: {sorted(named) or 'no groups'} have pairs of one "
            f"person and of two; use a larger split or evaluation.verification: false"
        )
    return _matching(dict(sorted(named.items())), pooled, threshold, n_impostor, n_replicates)


def pooled_threshold(vectors: Tensor, identity: IntArray, fmr: float) -> tuple[float, int]:
    """The lowest threshold that at most `fmr` of the impostor pairs exceed, and their number.

    Exact: keeps the highest scores while it goes through all pairs.

    Args:
        vectors: float32 (n, d), of two identities or more.
        identity: Integers (n,), ascending.
        fmr: 0..1.
    """
    _, n_images = np.unique(identity, return_counts=True)
    n_impostor = int((n_images.sum() ** 2 - (n_images**2).sum()) // 2)
    if not n_impostor:
        raise DataError("verification needs two people or more")
    n_kept = min(int(np.floor(fmr * n_impostor + 1e-9)) + 1, n_impostor)
    names = torch.from_numpy(identity).to(vectors.device)
    highest = vectors.new_empty(0)
    for start, scores in _upper_blocks(vectors):
        stop = start + len(scores)
        is_impostor = (names[start:stop, None] != names[None, start:]).triu(1)
        highest = torch.cat([highest, scores[is_impostor]])
        if len(highest) > n_kept:
            highest = highest.topk(n_kept).values
    return float(highest.min()), n_impostor


def count_pairs(
    vectors: Tensor, identity: IntArray, codes: IntArray, threshold: float
) -> tuple[dict[int, PairCounts], tuple[int, int]]:
    """Pairs by identity within each group, and (missed, all) genuine pairs of the whole set.

    Args:
        vectors: float32 (n, d).
        identity: Integers (n,), ascending.
        codes: Group of each image (n,), negative where unknown.
        threshold: A pair above it matches.
    """
    _, member = np.unique(identity, return_inverse=True)
    n_identities = int(member.max()) + 1
    groups = {int(code): _members(member, codes == code) for code in np.unique(codes[codes >= 0])}
    above = {code: np.zeros(len(own) ** 2) for code, (_, own) in groups.items()}
    n_matched = 0
    for start, scores in _upper_blocks(vectors):
        found = (scores > threshold).triu(1).nonzero().cpu().numpy() + start
        left, right = found[:, 0], found[:, 1]
        n_matched += int((member[left] == member[right]).sum())
        for code, (place, own) in groups.items():
            within = (codes[left] == code) & (codes[right] == code)
            cell = place[left[within]] * len(own) + place[right[within]]
            above[code] += np.bincount(cell, minlength=len(own) ** 2)
    n_images = np.bincount(member, minlength=n_identities)
    n_genuine = int((n_images * (n_images - 1) // 2).sum())
    counts = {
        code: _pair_counts(above[code].reshape(len(own), -1), place[codes == code])
        for code, (place, own) in groups.items()
    }
    return counts, (n_genuine - n_matched, n_genuine)


def _members(member: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Place of each image's identity among those of the rows, and these identities."""
    own = np.unique(member[rows])
    return np.searchsorted(own, member), own


def _pair_counts(above: FloatArray, place: IntArray) -> PairCounts:
    n_images = np.bincount(place).astype(np.float64)
    n_genuine = n_images * (n_images - 1) / 2
    both = above + above.T
    matches = both - np.diag(np.diag(both))
    return PairCounts(
        n_images=n_images,
        n_genuine=n_genuine,
        n_missed=n_genuine - np.diag(above),
        matches=matches,
    )


def _upper_blocks(vectors: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(start, scores of the rows from there with all images from there on).

    The same products in the same tiles at every call, so that a threshold that is one of the
    scores is met exactly.
    """
    precision = torch.get_float32_matmul_precision()
    for start in range(0, len(vectors), _BLOCK_ROWS):
        torch.set_float32_matmul_precision("highest")
        scores = vectors[start : start + _BLOCK_ROWS] @ vectors[start:].T
        torch.set_float32_matmul_precision(precision)
        yield start, scores


def _chosen(identity: IntArray, codes: IntArray) -> IntArray:
    """Rows of at most `MAX_IDENTITIES` identities, sorted by identity and group."""
    names = np.unique(identity)
    if len(names) > MAX_IDENTITIES:
        names = np.random.default_rng(0).choice(names, MAX_IDENTITIES, replace=False)
    order = np.lexsort((codes, identity))
    return order[np.isin(identity[order], names)]


def _is_comparable(counts: PairCounts) -> bool:
    return len(counts.n_images) > 1 and counts.n_genuine.sum() > 0


def _matching(
    groups: Mapping[str, PairCounts],
    pooled: tuple[int, int],
    threshold: float,
    n_impostor: int,
    n_replicates: int,
) -> Matching:
    metrics, overall = between_groups("verification"), CATALOGUE["fnmr"]
    rates = _rates(np.stack([_totals(counts) for counts in groups.values()], axis=0))
    # A seed of its own for each: groups of one size would otherwise be resampled in step.
    replicates = np.stack(
        [
            _resampled(counts, n_replicates, seed=place)
            for place, counts in enumerate(groups.values())
        ],
        axis=1,
    )
    n_missed, n_genuine = pooled
    all_rates: Rates = {"fnmr": np.array([n_missed / n_genuine])}
    pooled_replicates = _rates(replicates.sum(axis=1, keepdims=True))
    intervals = cost_intervals(metrics, rates, _rates(replicates)) | cost_intervals(
        [overall], all_rates, pooled_replicates
    )
    names = ("fmr", "fnmr", "n_impostor", "n_genuine")
    report = {
        "threshold": threshold,
        "fnmr": n_missed / n_genuine,
        "n_impostor": n_impostor,
        "n_genuine": n_genuine,
        **values_of(metrics, rates),
        "groups": {
            label: {name: float(rates[name][place]) for name in names}
            for place, label in enumerate(groups)
        },
    }
    costs = {"fnmr": float(overall.cost(all_rates)), **costs_between(metrics, rates)}
    return Matching(costs=costs, interval95=intervals, report=report)


def _totals(counts: PairCounts) -> FloatArray:
    totals: FloatArray = counts.weighted(np.ones((1, len(counts.n_images))))[0]
    return totals


def _resampled(counts: PairCounts, n_replicates: int, *, seed: int) -> FloatArray:
    """(n_replicates, 4): what `PairCounts.weighted` gives."""
    n_identities = len(counts.n_images)
    generator = np.random.default_rng([seed, n_identities])
    draws = weighted_draws(n_identities, n_replicates, generator)
    return np.concatenate([counts.weighted(block) for block in draws])


def _rates(totals: FloatArray) -> Rates:
    """Rates (..., G) of totals (..., G, 4); a resample without pairs of a kind has rate 0."""
    n_impostor, n_false, n_genuine, n_missed = np.moveaxis(totals, -1, 0)
    return {
        "n_impostor": n_impostor,
        "n_genuine": n_genuine,
        "fmr": n_false / np.maximum(n_impostor, 1.0),
        "fnmr": n_missed / np.maximum(n_genuine, 1.0),
    }
