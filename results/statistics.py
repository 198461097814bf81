"""Means over seeds, with the uncertainty that few seeds leave. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


def mean_and_interval(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The mean, and its two-sided 95 % interval by Student's t with n - 1 degrees of freedom.

    Args:
        values: One per seed, finite, at least one.

    Returns:
        The mean and (low, high); the interval is None for a single value, which says nothing
        about the spread.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    n = len(values)
    if n == 0 or not all(map(math.isfinite, values)):
        raise ValueError(f"{list(values)} has no mean; give at least one value, all finite")
    mean = float(np.mean(values))
    if n == 1:
        return mean, None
    standard_error = float(np.std(values, ddof=1)) / math.sqrt(n)
    half_width = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * standard_error
    return mean, (mean - half_width, mean + half_width)
