"""Exact thresholds and rates at them, from scores. A tie never helps. Pure numpy."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

_ROUNDING = 1e-9  # a rate times a count that is whole may come out a little below
_Z = 1.959963984540054  # of a two-sided 95 % interval


def threshold_at(scores: FloatArray, rate: float) -> float:
    """The smallest threshold t for which at most `rate` of the scores are above it, exactly.

    A score is accepted when it is *above* t, so that scores equal to it are all rejected.

    Args:
        scores: (n,), n at least 1.
        rate: 0..1.

    Returns:
        One of the scores, or -inf where all may be accepted.

    Raises:
        ValueError: There are no scores.
    """
    if not len(scores):
        raise ValueError("a threshold needs at least one score of a pair that must be rejected")
    allowed = int(np.floor(rate * len(scores) + _ROUNDING))
    if allowed >= len(scores):
        return -np.inf
    return float(np.partition(scores, len(scores) - 1 - allowed)[len(scores) - 1 - allowed])


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n independent trials, n at least 1 (Wilson 1927)."""
    centre = share + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(share * (1.0 - share) / n + _Z**2 / (4 * n**2))
    scale = 1.0 + _Z**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def best_threshold(scores: FloatArray, same: BoolArray) -> float:
    """The threshold with the largest accuracy, by an exact sweep over the sorted scores.

    A pair is called the same person when its score is above the threshold. Of equally good
    thresholds the highest is taken, with the fewest false matches; it lies halfway between two
    scores, or is infinite where it is best to accept all or none.

    Args:
        scores: (n,), finite.
        same: (n,).
    """
    values, place = np.unique(scores, return_inverse=True)
    gain = np.bincount(place, weights=np.where(same, 1.0, -1.0), minlength=len(values))
    # Correct decisions when the k highest values are accepted, up to a constant.
    correct = np.concatenate([[0.0], np.cumsum(gain[::-1])])
    k = int(np.argmax(correct))
    cuts = np.concatenate([[np.inf], (values[1:] + values[:-1])[::-1] / 2, [-np.inf]])
    return float(cuts[k])
