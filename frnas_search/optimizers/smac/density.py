"""Draws where good configurations lie dense and others do not: a tree-structured Parzen estimator.

It needs no smooth surface and no distance between branches of a conditional space, and follows a
trend to the end of a range, where trees only repeat what they have seen.

References:
    Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; Ozaki et al.,
    Multiobjective Tree-Structured Parzen Estimator, JAIR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import ndtr, ndtri

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.arrays import VectorSpace
    from results.pareto import FloatArray

_N_DRAWN = 48
_GOOD_SHARE = 0.1
_FEWEST_GOOD = 2
_MOST_GOOD = 25
_SMALLEST = 1e-300


def n_good(n: int) -> int:
    """How many of `n` configurations, best first, count as good."""
    return max(_FEWEST_GOOD, min(_MOST_GOOD, int(np.ceil(_GOOD_SHARE * n))))


def density_draws(
    space: VectorSpace,
    ranked: FloatArray,
    generator: np.random.Generator,
    *,
    prior_weight: float = 0.0,
) -> FloatArray:
    """Draws from the density of the good, the least typical of the others first.

    Args:
        space: Of the configurations.
        ranked: Shape (n, d); configurations with a result, best first.
        generator: What is drawn from.
        prior_weight: How much the user's priors count beside the densities.

    Returns:
        Shape (k, d); legal configurations.
    """
    split = n_good(len(ranked))
    good, others = _densities(space, ranked[:split]), _densities(space, ranked[split:])
    columns = [density.draw(_N_DRAWN, generator) for density in good]
    drawn = space.legal(space.on_grid(np.stack(columns, axis=1)))
    scores = np.zeros(len(drawn))
    for number in range(space.n_dimensions):
        active = np.isfinite(drawn[:, number])
        values = drawn[active, number]
        scores[active] += good[number].log_pdf(values) - others[number].log_pdf(values)
    if space.has_prior:
        scores += prior_weight * space.log_prior(drawn)
    return drawn[np.argsort(-scores, kind="stable")]


class _Density(Protocol):
    """Of one hyperparameter where it is active."""

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray: ...

    def log_pdf(self, values: FloatArray) -> FloatArray: ...


@dataclass(frozen=True, slots=True, eq=False)
class _CategoricalDensity:
    """Of a choice, by how often each was taken, with one more for all together."""

    probabilities: FloatArray

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray:
        return generator.choice(len(self.probabilities), n, p=self.probabilities).astype(float)

    def log_pdf(self, values: FloatArray) -> FloatArray:
        return np.asarray(np.log(self.probabilities[values.astype(np.int64)]))


@dataclass(frozen=True, slots=True, eq=False)
class _ParzenDensity:
    """A Parzen estimator of a number in [0, 1].

    A normal around each that was taken, as wide as the way to its neighbours, and one over the
    whole range.
    """

    centres: FloatArray
    widths: FloatArray

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray:
        chosen = generator.integers(0, len(self.centres), n)
        centres, widths = self.centres[chosen], self.widths[chosen]
        low, high = ndtr(-centres / widths), ndtr((1.0 - centres) / widths)
        shares = np.clip(low + generator.random(n) * (high - low), 1e-12, 1.0 - 1e-12)
        return np.asarray(np.clip(centres + widths * ndtri(shares), 0.0, 1.0))

    def log_pdf(self, values: FloatArray) -> FloatArray:
        z = (values[:, None] - self.centres) / self.widths
        inside = ndtr((1.0 - self.centres) / self.widths) - ndtr(-self.centres / self.widths)
        densities = np.exp(-0.5 * z * z) / (np.sqrt(2.0 * np.pi) * self.widths * inside)
        return np.asarray(np.log(densities.mean(axis=1) + _SMALLEST))


@dataclass(frozen=True, slots=True, eq=False)
class _ConstantDensity:
    """Of what has a single value; which, the space knows."""

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray:
        del generator
        return np.zeros(n)

    def log_pdf(self, values: FloatArray) -> FloatArray:
        return np.zeros(len(values))


def _densities(space: VectorSpace, vectors: FloatArray) -> list[_Density]:
    columns = [column[np.isfinite(column)] for column in vectors.T]
    return [_density(values, int(n)) for values, n in zip(columns, space.n_choices, strict=True)]


def _density(values: FloatArray, n_choices: int) -> _Density:
    if n_choices == 1:
        return _ConstantDensity()
    return _categorical_density(values, n_choices) if n_choices else _parzen_density(values)


def _categorical_density(values: FloatArray, n: int) -> _CategoricalDensity:
    counts = np.bincount(values.astype(np.int64), minlength=n) + 1.0 / n
    return _CategoricalDensity(counts / counts.sum())


def _parzen_density(values: FloatArray) -> _ParzenDensity:
    centres = np.sort(np.append(values, 0.5))
    gaps = np.diff(np.concatenate([[0.0], centres, [1.0]]))
    widths = np.clip(np.maximum(gaps[:-1], gaps[1:]), 1.0 / min(100.0, 2.0 + len(values)), 1.0)
    # The whole range, whatever was taken.
    widths[np.searchsorted(centres, 0.5)] = 1.0
    return _ParzenDensity(centres, widths)
