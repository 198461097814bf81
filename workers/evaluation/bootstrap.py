"""Resampling of identities within their groups: intervals of identification's objectives.

Images of one identity are alike, so that resampling images would understate the error of a
disparity more than twofold; identities are the independent units.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.angles import IntArray
from workers.evaluation.catalogue import CATALOGUE, FloatArray, Rates, between_groups
from workers.evaluation.identification_metrics import Ranks
from workers.evaluation.intervals import Interval, cost_intervals, weighted_draws


def bootstrap_intervals(
    ranks: Ranks, *, identity: IntArray, codes: IntArray, n_replicates: int, seed: int
) -> dict[str, Interval]:
    """Percentile intervals of the error and of every objective between groups.

    Each replicate draws, within every group, as many identities as there are, with replacement;
    an identity brings all its probes in that group along. How an interval is made of them:
    `workers.evaluation.intervals.cost_intervals`.

    Args:
        ranks: Of n images; those without a mate are left out.
        identity: Integers (n,).
        codes: Group of each image (n,), negative where unknown: these count for the error only.
            Groups are compared in the order of their codes.
        n_replicates: Resamplings, at least 1.
        seed: Of the resampling; the same seed gives the same intervals.

    Raises:
        ValueError: No image has a mate, or fewer than two groups have one.
    """
    is_probe = ranks.rank_by_identity >= 0
    values = probe_values(ranks.rank_by_identity[is_probe])
    own, groups = identity[is_probe], codes[is_probe]
    totals = _resampled_totals(values, own, groups, n_replicates, seed)
    compared = [total for code, total in totals.items() if code >= 0]
    if len(compared) < 2:
        raise ValueError("an interval needs probes with a mate in two groups or more")
    pooled = rates_of_totals(np.sum(list(totals.values()), axis=0)[:, None])
    intervals = cost_intervals(
        [CATALOGUE["error"]], rates_of_totals(values.sum(axis=0)[None]), pooled
    )
    estimate = np.stack([values[groups == code].sum(axis=0) for code in totals if code >= 0])
    return intervals | cost_intervals(
        between_groups("identification"),
        rates_of_totals(estimate),
        rates_of_totals(np.stack(compared, axis=1)),
    )


def by_resampled_identities(
    values: FloatArray, *, identity: IntArray, codes: IntArray, n_replicates: int, seed: int = 0
) -> FloatArray:
    """(n_replicates, k): means of k values of n probes, over identities resampled in their groups.

    Args:
        values: (n, k).
        identity: Integers (n,).
        codes: Group of each probe (n,); the unknown are a group of their own here.
        n_replicates: At least 1.
        seed: Of the resampling.
    """
    counted = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    totals = sum(_resampled_totals(counted, identity, codes, n_replicates, seed).values())
    means: FloatArray = totals[:, 1:] / totals[:, :1]  # type: ignore[index]
    return means


def probe_values(ranks: NDArray[np.int64]) -> FloatArray:
    """(n, 4): of each probe 1, whether it is wrong, its rank, and ln(1 + rank)."""
    return np.stack([np.ones(len(ranks)), ranks != 0, ranks, np.log1p(ranks)], axis=1)


def rates_of_totals(totals: FloatArray) -> Rates:
    """Rates (..., G) of totals (..., G, 4) of what `probe_values` gives."""
    n_probes = totals[..., 0]
    error = totals[..., 1] / n_probes
    return {
        "n_probes": n_probes,
        "error": error,
        "accuracy": 1.0 - error,
        "mean_rank": totals[..., 2] / n_probes,
        "mean_log_rank": totals[..., 3] / n_probes,
    }


def _resampled_totals(
    values: FloatArray, identity: IntArray, codes: IntArray, n_replicates: int, seed: int
) -> Mapping[int, FloatArray]:
    """By group code, (n_replicates, k): totals of k values in each resampling."""
    generator = np.random.default_rng([seed, len(values)])
    totals: dict[int, FloatArray] = {}
    for code in np.unique(codes):
        rows = codes == code
        sums = identity_sums(values[rows], identity[rows])
        draws = weighted_draws(len(sums), n_replicates, generator)
        totals[int(code)] = np.concatenate([block @ sums for block in draws])
    return totals


def identity_sums(values: FloatArray, identity: IntArray) -> FloatArray:
    """(n_identities, k): sums of values (n, k) over the images of each identity, ascending."""
    _, member = np.unique(identity, return_inverse=True)
    columns = [np.bincount(member, weights=column) for column in values.T]
    return np.stack(columns, axis=1)
