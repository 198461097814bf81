"""How much a configuration is expected to improve the front. Pure.

Costs are scaled so that the front spans [0, 1] in every objective; the reference lies at 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from results.pareto import non_dominated

if TYPE_CHECKING:
    from results.pareto import FloatArray

REFERENCE = 1.1
_FAR = -1e3
_N_DIRECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """The box that costs are measured in.

    Attributes:
        low: Shape (m,); the best cost of each objective at the highest rung.
        span: Shape (m,); to the worst cost on the front, above 0.
    """

    low: FloatArray
    span: FloatArray

    def scaled(self, costs: FloatArray) -> FloatArray:
        """Costs of any shape (..., m) in units of the box."""
        return (costs - self.low) / self.span


def scale_of(costs: FloatArray) -> Scale:
    """The box of the front of `costs`, shape (n, m), n at least 1.

    A front of one point has no extent; then it reaches to the best third of each objective.
    """
    low = costs.min(axis=0)
    front = costs[non_dominated(costs)]
    high = np.maximum(front.max(axis=0), np.quantile(costs, 0.3, axis=0))
    return Scale(low=low, span=np.maximum(high - low, 1e-9))


def expected_hypervolume_improvement(
    means: FloatArray, deviations: FloatArray, front: FloatArray
) -> FloatArray:
    """Of two objectives with independent normal distributions, in closed form; shape (n,).

    The part of the objective space that the front leaves is cut into strips along the first
    objective; in each the expected gain is a product of two expected improvements.

    Args:
        means: Shape (n, 2), scaled.
        deviations: Shape (n, 2), above 0.
        front: Shape (k, 2), scaled; nobody dominates anybody.

    References:
        Emmerich et al., The computation of the expected improvement in dominated hypervolume of
        Pareto front approximations, 2008; held against Monte Carlo in its test.
    """
    inside = front[np.all(front < REFERENCE, axis=1)]
    inside = inside[np.argsort(inside[:, 0], kind="stable")]
    edges = np.concatenate([[_FAR], inside[:, 0], [REFERENCE]])
    heights = np.concatenate([[REFERENCE], inside[:, 1]])
    below = expected_improvement(means[:, :1], deviations[:, :1], edges[None, :])
    widths = below[:, 1:] - below[:, :-1]
    gains = widths * expected_improvement(means[:, 1:], deviations[:, 1:], heights[None, :])
    return np.asarray(gains.sum(axis=1))


def expected_improvement(
    means: FloatArray, deviations: FloatArray, best: FloatArray
) -> FloatArray:
    """E max(0, best - y) of a normal y; arguments broadcast."""
    z = (best - means) / deviations
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return np.asarray(deviations * (z * ndtr(z) + density))


def scalarised_hypervolume_improvement(
    predictions: FloatArray, front: FloatArray, generator: np.random.Generator
) -> FloatArray:
    """The expected gain in hypervolume up to a constant, for any number of objectives; shape (n,).

    Hypervolume is the mean over random directions of a power of the largest step that a front
    allows in that direction.

    Args:
        predictions: Of each tree, shape (trees, n, m), scaled.
        front: Shape (k, m), scaled.
        generator: Of the directions.

    References:
        Zhang & Golovin, Random Hypervolume Scalarizations for Provable Multi-Objective Black Box
        Optimization, ICML 2020.
    """
    m = predictions.shape[-1]
    directions = np.abs(generator.normal(size=(_N_DIRECTIONS, m)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions = np.maximum(directions, 1e-3)
    reached = _steps(front, directions).max(axis=0, initial=0.0)
    gains = [
        np.maximum(0.0, _steps(costs, directions) - reached).mean(axis=1) for costs in predictions
    ]
    return np.asarray(np.mean(gains, axis=0))


def _steps(costs: FloatArray, directions: FloatArray) -> FloatArray:
    """Shape (n, directions): the largest step from the reference towards the costs, to the m."""
    room = np.maximum(0.0, REFERENCE - costs)
    steps = (room[:, None, :] / directions).min(axis=-1)
    return np.asarray(steps ** costs.shape[-1])
