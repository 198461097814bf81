"""95 % intervals of the catalogue's costs from resampled rates. Pure numpy.

Decides how the interval of each shape of metric is made; draws nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np

from workers.evaluation.catalogue import FloatArray, Metric, Rates, Shape

Interval: TypeAlias = tuple[float, float]

QUANTILES = (0.025, 0.975)
_REPLICATES_PER_BLOCK = 100


def cost_intervals(
    metrics: Sequence[Metric], rates: Rates, replicates: Rates
) -> dict[str, Interval]:
    """Objective -> the bounds of its cost.

    A gap between groups cannot be negative, which would push its percentiles away from zero; so
    the *signed* difference of each pair of groups is taken and folded: a pair whose interval
    holds zero starts at zero. The largest of several (pairs for a gap, groups for the worst error)
    has as bounds the largest lower and the largest upper bound. A metric of another shape has its
    percentiles, widened to hold the estimate: they are biased away from its perfect value, which
    they never reach; a permutation test answers whether there is any disparity.

    Args:
        metrics: Of the catalogue.
        rates: Of shape (G,).
        replicates: Of shape (n_replicates, G).
    """
    return {
        metric.cost_name: _INTERVALS[metric.shape](metric, rates, replicates)
        for metric in metrics
        if metric.cost_name is not None
    }


def weighted_draws(
    n_units: int, n_replicates: int, generator: np.random.Generator
) -> list[FloatArray]:
    """How often each unit is drawn: blocks (b, n_units) of `n_replicates` rows, each sums to n."""
    shares = np.full(n_units, 1.0 / n_units)
    return [
        generator.multinomial(
            n_units, shares, size=min(_REPLICATES_PER_BLOCK, n_replicates - start)
        ).astype(np.float64)
        for start in range(0, n_replicates, _REPLICATES_PER_BLOCK)
    ]


def percentile_interval(replicates: FloatArray) -> Interval:
    """The 2.5 % and 97.5 % quantiles."""
    low, high = np.quantile(replicates, QUANTILES)
    return float(low), float(high)


def _of_mean(metric: Metric, _rates: Rates, replicates: Rates) -> Interval:
    return percentile_interval(metric.cost(replicates))


def _of_gap(metric: Metric, _rates: Rates, replicates: Rates) -> Interval:
    pairs = combinations(np.moveaxis(replicates[metric.rate], -1, 0), 2)
    return _largest([_folded(percentile_interval(a - b)) for a, b in pairs])


def _of_relative(metric: Metric, rates: Rates, replicates: Rates) -> Interval:
    if rates[metric.rate].shape[-1] > 2:
        return _of_plain(metric, rates, replicates)
    # Signed as the groups lie, so that an interval that holds equality starts at zero.
    first, second = np.moveaxis(replicates[metric.rate], -1, 0)
    signed = np.where(second > first, 1.0, -1.0) * metric.cost(replicates)
    return _holding(_folded(percentile_interval(signed)), float(metric.cost(rates)))


def _of_worst(metric: Metric, _rates: Rates, replicates: Rates) -> Interval:
    by_group = np.moveaxis(replicates[metric.rate], -1, 0)
    return _largest([percentile_interval(values) for values in by_group])


def _of_plain(metric: Metric, rates: Rates, replicates: Rates) -> Interval:
    return _holding(percentile_interval(metric.cost(replicates)), float(metric.cost(rates)))


_INTERVALS: Mapping[Shape, Callable[[Metric, Rates, Rates], Interval]] = {
    "mean": _of_mean,
    "gap": _of_gap,
    "relative": _of_relative,
    "worst": _of_worst,
    "plain": _of_plain,
}


def _holding(interval: Interval, estimate: float) -> Interval:
    return min(interval[0], estimate), max(interval[1], estimate)


def _folded(interval: Interval) -> Interval:
    """The interval of |x| when `interval` is that of x."""
    low, high = interval
    if low <= 0.0 <= high:
        return 0.0, max(-low, high)
    return min(abs(low), abs(high)), max(abs(low), abs(high))


def _largest(intervals: Sequence[Interval]) -> Interval:
    return max(low for low, _ in intervals), max(high for _, high in intervals)
