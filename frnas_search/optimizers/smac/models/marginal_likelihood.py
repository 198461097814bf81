"""Lengths and noise under which costs are likely: a maximum a posteriori estimate. Pure.

The variance of the costs is the best for each lengths and noise, in closed form.

References:
    Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, section 5.4.1 and A.3.
    Hvarfner et al., Vanilla Bayesian Optimization Performs Great in High Dimensions, ICML 2024:
    the prior's lengths grow with the root of the number of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from frnas_search.optimizers.smac.models.kernels import matern_and_slope

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.models.kernels import Inputs
    from results.pareto import FloatArray

_LENGTH_LOCATION = -1.0
"""Of the log-normal prior of a length, for a single input; shorter than that of the literature,
which foretold the costs of the benchmarks' problems worse."""

_LENGTH_DEVIATION = 0.8
"""Small, so that few results cannot make an input look without effect."""

_NOISE_LOCATION = -6.0
_NOISE_DEVIATION = 2.0
_VARIANCE_STRENGTH = 4.0
"""How many costs the belief that they vary by 1 counts as much as."""

_LENGTH_BOUNDS = (np.log(0.03), np.log(3e3))
_NOISE_BOUNDS = (np.log(1e-5), 0.0)
"""The least keeps correlations of equal configurations positive definite."""

_MOST_STEPS = 30
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameters:
    """Of a process.

    Attributes:
        lengths: Shape (d + 1,); the distance over which costs change, in each input.
        noise: Variance of what is not explained, as a share of that of the costs.
    """

    lengths: FloatArray
    noise: float


class NegativeLogPosterior:
    """Of lengths and noise given costs, up to a constant; a function of their logarithms.

    Args:
        inputs: Of the costs.
        targets: Shape (n,); costs around 0.
    """

    def __init__(self, inputs: Inputs, targets: FloatArray) -> None:
        self._pairs = np.tril_indices(len(targets), -1)
        self._squares = inputs.squared_distances(*self._pairs)
        self._targets = targets
        n_inputs = len(self._squares)
        location = _LENGTH_LOCATION + 0.5 * np.log(n_inputs)
        self._deviations = np.append(np.full(n_inputs, _LENGTH_DEVIATION), _NOISE_DEVIATION)
        self.mode_of_prior = np.append(np.full(n_inputs, location), _NOISE_LOCATION)

    def __call__(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Its value and gradient.

        Args:
            logs: Shape (d + 2,); of the lengths, then of the noise.
        """
        weights, noise = np.exp(-2.0 * logs[:-1]), np.exp(logs[-1])
        correlations, slopes = matern_and_slope(weights @ self._squares)
        covariance = np.diag(np.full(len(self._targets), 1.0 + noise))
        covariance[self._pairs] = correlations
        precision, half_log_determinant = inverse(covariance)
        weighted = precision @ self._targets
        variance = variance_of(self._targets, weighted)
        strength = len(self._targets) + _VARIANCE_STRENGTH
        # Derivatives by the covariances, of which those off the diagonal stand twice.
        sensitivity = 0.5 * (precision - np.outer(weighted, weighted) / variance)
        by_squares = self._squares @ (2.0 * sensitivity[self._pairs] * slopes)
        gradient = np.append(-2.0 * weights * by_squares, noise * np.trace(sensitivity))
        z = (logs - self.mode_of_prior) / self._deviations
        value = 0.5 * strength * np.log(variance) + half_log_determinant + 0.5 * z @ z
        return float(value), np.asarray(gradient + z / self._deviations)


def fitted(inputs: Inputs, targets: FloatArray) -> Hyperparameters:
    """The likeliest lengths and noise; from the prior's mode, so that nothing is drawn.

    Args:
        inputs: Of the costs.
        targets: Shape (n,); costs around 0 with a variance of about 1.
    """
    objective = NegativeLogPosterior(inputs, targets)
    start = objective.mode_of_prior
    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[_LENGTH_BOUNDS] * (len(start) - 1) + [_NOISE_BOUNDS],
        options={"maxiter": _MOST_STEPS, "maxfun": _MOST_STEPS, "ftol": _TOLERANCE},
    )
    return Hyperparameters(np.exp(found.x[:-1]), float(np.exp(found.x[-1])))


def variance_of(targets: FloatArray, weighted: FloatArray) -> float:
    """The likeliest variance of the costs.

    Args:
        targets: Shape (n,).
        weighted: Shape (n,); the inverse of their correlations times them.
    """
    strength = len(targets) + _VARIANCE_STRENGTH
    return float((targets @ weighted + _VARIANCE_STRENGTH) / strength)


def inverse(covariance: FloatArray) -> tuple[FloatArray, float]:
    """Of a positive definite matrix (n, n), and half the logarithm of its determinant.

    Args:
        covariance: Its lower triangle; the upper one is not read.
    """
    factor, _ = lapack.dpotrf(covariance, lower=1)
    half, _ = lapack.dpotri(factor, lower=1)
    half = np.tril(half)
    full = half + half.T
    np.fill_diagonal(full, half.diagonal())
    return full, float(np.log(factor.diagonal()).sum())
