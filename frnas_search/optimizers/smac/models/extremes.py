"""Bounds on costs that models learn: how bad the bad are would drown all that matters. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from results.pareto import non_dominated

if TYPE_CHECKING:
    from results.pareto import FloatArray

_WORST = 3.0
"""How far above the median costs are told apart, in units of its way to the best tenth."""

_FARTHEST = 10.0
"""The same below the median, and above it for what is on the front."""


def without_extremes(costs: FloatArray, limits: FloatArray | None = None) -> FloatArray:
    """Costs with bounds, shape (n, m).

    What is on the front of the costs is bad in one objective for the sake of another, and is only
    bounded where it lies far beyond everything. What is beyond a limit stays beyond it.

    Args:
        costs: Shape (n, m), n at least 1; finite.
        limits: Shape (m,); may be infinite. None is no limit.
    """
    median = np.median(costs, axis=0)
    reach = median - np.quantile(costs, 0.1, axis=0)
    # Without an extent there is nothing to measure extremes by.
    reach = np.where(reach > 0, reach, np.inf)
    low, high = median - _FARTHEST * reach, median + _FARTHEST * reach
    worst_on_front = costs[non_dominated(costs)].max(axis=0)
    high = np.clip(worst_on_front, median + _WORST * reach, high)
    if limits is not None:
        high = np.where(np.isfinite(limits), np.maximum(high, limits + _WORST * reach), high)
    return np.asarray(np.clip(costs, low, high))
