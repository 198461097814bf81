"""The hypervolume indicator: how much of the objective space a front dominates. Pure.

Exact where that takes milliseconds. The time of exact computation grows exponentially with the
number of objectives, so beyond `most_exact` points the volume is estimated by Monte Carlo, with
its standard error.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import moocore
import numpy as np

from results.pareto import BoolArray, FloatArray, non_dominated

# The largest front whose exact volume took at most about 20 ms, by the number of objectives.
_MOST_EXACT = {4: 3000, 5: 1000, 6: 150, 7: 70, 8: 45, 9: 30, 10: 20, 11: 17, 12: 15}
_MOST_EXACT_BEYOND = 10
_ALWAYS_EXACT = 3
"""So many objectives take n log n."""
_COMPARISONS, _COMPARISONS_OF_A_FRONT = 4_000_000, 80_000_000
_LEAST_SAMPLES, _MOST_SAMPLES = 256, 16_384
_MOST_FILTERED = 1_000
"""Of more points than these, those that others make superfluous are not looked for first."""
_BLOCK = 256


class Volume(NamedTuple):
    """A volume, exact or estimated.

    Attributes:
        value: In the product of the objectives' units.
        variance: Of the estimate, in the square of these; 0.0 when it is exact.
    """

    value: float
    variance: float = 0.0

    @property
    def standard_error(self) -> float | None:
        """Of the estimate; None when the volume is exact."""
        return math.sqrt(self.variance) if self.variance > 0.0 else None


def hypervolume(costs: FloatArray, reference: FloatArray) -> float:
    """Volume dominated by `costs` and bounded by `reference`, all objectives minimised; exact.

    Args:
        costs: Shape (n, m); finite; in the objectives' own units. Dominated rows and rows that
            are not better than `reference` in every objective add nothing.
        reference: Shape (m,); finite.

    Returns:
        Volume in the product of the units; 0.0 when nothing dominates `reference`.

    Raises:
        ValueError: The shapes disagree or a value is not finite.

    References:
        Zitzler & Thiele, PPSN 1998; computed by moocore, cross-checked by Monte Carlo in its test.
    """
    inside = _inside(costs, reference)
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def most_exact(n_objectives: int) -> int | None:
    """So many points have their volume computed exactly; None of any number."""
    if n_objectives <= _ALWAYS_EXACT:
        return None
    return _MOST_EXACT.get(n_objectives, _MOST_EXACT_BEYOND)


def front_volume(costs: FloatArray, reference: FloatArray, *, seed: int) -> Volume:
    """The hypervolume of a whole front, exact or, where that takes too long, estimated.

    Of two estimates the one that varies less in a trial is made. One draws a point of a random
    point's box, boxes by their volumes, and counts how many boxes cover it: the mean of 1 / count,
    times the sum of all volumes, is that of the union; this is good for few boxes. The other draws
    points of the box around the front and counts those that are covered; good for many.

    Args:
        costs: As of `hypervolume`; nobody should dominate anybody.
        reference: As of `hypervolume`.
        seed: Of the estimate.

    Raises:
        ValueError: As of `hypervolume`.

    References:
        Karp & Luby, Monte-Carlo algorithms for enumeration and reliability problems, FOCS 1983;
        Bringmann & Friedrich, Computational Geometry 43, 2010. Held against exact volumes in its
        test.
    """
    inside = _inside(costs, reference)
    if _is_exact(len(inside), len(reference)):
        return Volume(hypervolume(inside, reference))
    chance = np.random.default_rng(seed)
    n = _n_samples(inside, comparisons=_COMPARISONS_OF_A_FRONT)
    estimates = (_by_covering_boxes, _by_bounding_box)
    trials = [estimate(inside, reference, n // 4, chance).variance for estimate in estimates]
    # Made anew: of the trial itself, the choice would favour what is too small by chance.
    return estimates[int(np.argmin(trials))](inside, reference, n, chance)


def _by_covering_boxes(
    costs: FloatArray, reference: FloatArray, n: int, chance: np.random.Generator
) -> Volume:
    volumes = np.prod(reference - costs, axis=1)
    low = costs[chance.choice(len(costs), size=n, p=volumes / volumes.sum())]
    points = low + (reference - low) * chance.random(low.shape)
    counts = np.zeros(n)
    for begin in range(0, len(costs), _BLOCK):
        counts += _covered(points, costs[begin : begin + _BLOCK]).sum(axis=0)
    shares = 1.0 / np.maximum(counts, 1.0)  # at least its own box, but for rounding
    total = float(volumes.sum())
    # One more at either end, so that equal shares are not taken for certainty.
    spread = float(np.var(np.concatenate([shares, [0.0, 1.0]]), ddof=1))
    return Volume(total * float(shares.mean()), total**2 * spread / n)


def _by_bounding_box(
    costs: FloatArray, reference: FloatArray, n: int, chance: np.random.Generator
) -> Volume:
    low = costs.min(axis=0)
    n_left = _n_uncovered(low, costs, reference=reference, n=n, chance=chance)
    return _share(float(np.prod(reference - low)), n - n_left, n)


def with_point(
    before: Volume, front: FloatArray, point: FloatArray, *, reference: FloatArray, seed: int
) -> Volume:
    """The hypervolume of a front and one more point, from that of the front.

    Of up to three objectives it is computed anew, which is quick; of more, what the point
    dominates alone is added, so what was estimated once is never estimated again. Estimates of
    different points are independent, so their variances add up.

    Args:
        before: The volume of `front`.
        front: Shape (n, m); no member dominates `point`; n may be 0.
        point: Shape (m,).
        reference: Shape (m,).
        seed: Of the estimate; another one for each point.
    """
    if len(reference) <= _ALWAYS_EXACT:
        return Volume(hypervolume(np.vstack([front, point]), reference))
    gain = exclusive_volume(point, front, reference=reference, seed=seed)
    return Volume(before.value + gain.value, before.variance + gain.variance)


def exclusive_volume(
    point: FloatArray, front: FloatArray, *, reference: FloatArray, seed: int
) -> Volume:
    """What a point dominates and no member of a front does.

    That is the point's box less what the front covers of it. The estimate draws points of the box
    and counts those that the front leaves.

    Args:
        point: Shape (m,); finite.
        front: Shape (n, m); finite; n may be 0.
        reference: Shape (m,); finite.
        seed: Of the estimate.

    References:
        The limit set is that of While, Bradstreet & Barone, A Fast Way of Calculating Exact
        Hypervolumes, IEEE Trans. Evol. Comput. 16, 2012.
    """
    box = float(np.prod(np.maximum(reference - point, 0.0)))
    limited = _inside(np.maximum(front, point), reference)
    if box == 0.0 or len(limited) == 0:
        return Volume(box)
    if np.any(np.all(limited == point, axis=1)):
        return Volume(0.0)
    if len(limited) <= _MOST_FILTERED or len(reference) <= 4:
        limited = limited[non_dominated(limited)]
    if _is_exact(len(limited), len(reference)):
        return Volume(max(0.0, box - hypervolume(limited, reference)))
    n = _n_samples(limited, comparisons=_COMPARISONS)
    chance = np.random.default_rng(seed)
    return _share(box, _n_uncovered(point, limited, reference=reference, n=n, chance=chance), n)


def _share(box: float, n_hits: int, n: int) -> Volume:
    """A box times the share of its points that were hit."""
    # Of all or nothing the share's own variance would be 0, and it is not known exactly.
    share = (n_hits + 1.0) / (n + 2.0)
    return Volume(box * n_hits / n, box**2 * share * (1.0 - share) / n)


def _n_uncovered(
    point: FloatArray,
    limited: FloatArray,
    *,
    reference: FloatArray,
    n: int,
    chance: np.random.Generator,
) -> int:
    """Of `n` random points of the box of `point`, those that no box of `limited` holds."""
    left = point + (reference - point) * chance.random((n, len(point)))
    # The largest boxes first: they cover most, and what is covered is not looked at again.
    limited = limited[np.argsort(-np.prod(reference - limited, axis=1), kind="stable")]
    for begin in range(0, len(limited), _BLOCK):
        if len(left) == 0:
            break
        left = left[~_covered(left, limited[begin : begin + _BLOCK]).any(axis=0)]
    return len(left)


def _covered(points: FloatArray, corners: FloatArray) -> BoolArray:
    """Shape (corners, points): whether a box from a corner to the reference holds a point."""
    mask = corners[:, None, 0] <= points[None, :, 0]
    for axis in range(1, points.shape[1]):
        mask &= corners[:, None, axis] <= points[None, :, axis]
    return np.asarray(mask, np.bool_)


def _is_exact(n: int, n_objectives: int) -> bool:
    most = most_exact(n_objectives)
    return most is None or n <= most


def _n_samples(costs: FloatArray, *, comparisons: int) -> int:
    """So many that all comparisons together take a bounded time, whatever the front's size."""
    return min(_MOST_SAMPLES, max(_LEAST_SAMPLES, comparisons // costs.size))


def _inside(costs: FloatArray, reference: FloatArray) -> FloatArray:
    """The rows that are better than the reference in every objective."""
    if costs.ndim != 2 or reference.shape != costs.shape[1:]:
        raise ValueError(
            f"costs have shape {costs.shape} and the reference {reference.shape}; "
            "give (n, m) and (m,)"
        )
    if not (np.isfinite(costs).all() and np.isfinite(reference).all()):
        raise ValueError("a cost or the reference is NaN or infinite")
    return costs[np.all(costs < reference, axis=1)]
