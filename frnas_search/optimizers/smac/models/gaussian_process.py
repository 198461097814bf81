"""The surrogate while results are few: a Gaussian process for each objective. Pure.

Between few results it follows a trend, and it knows how little it knows far from them; trees can
only repeat what they have seen. The time of its training grows with the cube of the results, so
there are many that it does not learn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frnas_search.optimizers.smac.models.extremes import without_extremes
from frnas_search.optimizers.smac.models.kernels import (
    inputs_of,
    matern,
    squared_distances_between,
)
from frnas_search.optimizers.smac.models.marginal_likelihood import fitted, inverse, variance_of

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.models.kernels import Inputs
    from frnas_search.optimizers.smac.models.marginal_likelihood import Hyperparameters
    from results.pareto import FloatArray, IntArray

_MOST_COSTS = 400
"""That it learns from."""

_MOST_FITTED = 150
"""That lengths and noise are found from; more would hardly change them."""

_LEAST_DEVIATION = 1e-12
_LEAST_VARIANCE = 1e-10


class GaussianProcess:
    """Costs of configurations at fidelities, each objective on its own.

    Args:
        n_choices: Shape (d,); how many values a choice has, 1 for a constant, 0 for a number.
        limits: Shape (m,); costs that are wanted at most, which bounds on what is learnt leave
            alone. None is no limit.
    """

    def __init__(self, n_choices: IntArray, *, limits: FloatArray | None = None) -> None:
        self._n_choices = n_choices
        self._limits = limits
        self._processes: list[Process] = []
        self._means = np.zeros(0)
        self._deviations = np.ones(0)

    def train(self, vectors: FloatArray, fidelities: FloatArray, costs: FloatArray) -> None:
        """Forget everything and learn these costs, or the most telling of very many.

        Args:
            vectors: Shape (n, d); NaN where inactive. n at least 1.
            fidelities: Shape (n,); 0 the lowest, the cheapest rung's, to 1 the highest.
            costs: Shape (n, m); finite; in the order in which they were measured.
        """
        kept = most_telling(fidelities, _MOST_COSTS)
        inputs = inputs_of(vectors[kept], fidelities[kept], self._n_choices)
        bounded = without_extremes(costs[kept], self._limits)
        self._means = bounded.mean(axis=0)
        self._deviations = np.maximum(bounded.std(axis=0), _LEAST_DEVIATION)
        targets = (bounded - self._means) / self._deviations
        chosen = most_telling(fidelities[kept], _MOST_FITTED)
        self._processes = [
            Process.given(inputs, column, fitted(inputs.rows(chosen), column[chosen]))
            for column in targets.T
        ]

    @property
    def n_objectives(self) -> int:
        """Of the costs that were learnt."""
        return len(self._processes)

    def predict(self, vectors: FloatArray, fidelity: float = 1.0) -> tuple[FloatArray, FloatArray]:
        """Means and variances of costs without their noise at one fidelity, each of shape (k, m).

        Args:
            vectors: Shape (k, d).
            fidelity: 0 the lowest, the cheapest rung's, to 1 the highest.
        """
        inputs = inputs_of(vectors, np.full(len(vectors), fidelity), self._n_choices)
        predictions = [process.predict(inputs) for process in self._processes]
        means = np.stack([mean for mean, _ in predictions], axis=1)
        variances = np.stack([variance for _, variance in predictions], axis=1)
        return means * self._deviations + self._means, variances * self._deviations**2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Process:
    """A Gaussian process with a mean of 0, given the costs of one objective.

    Attributes:
        hyperparameters: Of its covariance.
        variance: Of the costs.
        coordinates: Shape (n, c), in units of the lengths.
        precision: Shape (n, n); the inverse of the correlations of the costs.
        weights: Shape (n,); of each cost in a prediction.
    """

    hyperparameters: Hyperparameters
    variance: float
    coordinates: FloatArray
    precision: FloatArray
    weights: FloatArray

    @classmethod
    def given(
        cls, inputs: Inputs, targets: FloatArray, hyperparameters: Hyperparameters
    ) -> Process:
        """That of costs around 0, shape (n,)."""
        coordinates = inputs.in_units(hyperparameters.lengths)
        correlations = matern(squared_distances_between(coordinates, coordinates))
        np.fill_diagonal(correlations, 1.0 + hyperparameters.noise)
        precision, _ = inverse(correlations)
        weights = precision @ targets
        return cls(
            hyperparameters=hyperparameters,
            variance=variance_of(targets, weights),
            coordinates=coordinates,
            precision=precision,
            weights=weights,
        )

    def predict(self, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
        """Means and variances without noise, each of shape (k,).

        References:
            Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equations 2.25 and
            2.26; held against scikit-learn in its test.
        """
        coordinates = inputs.in_units(self.hyperparameters.lengths)
        correlations = matern(squared_distances_between(coordinates, self.coordinates))
        explained = np.einsum("kn,kn->k", correlations @ self.precision, correlations)
        variances = self.variance * np.maximum(1.0 - explained, _LEAST_VARIANCE)
        return correlations @ self.weights, variances


def most_telling(fidelities: FloatArray, most: int) -> IntArray:
    """Which costs to learn from: those of high fidelities, then the latest; shape (k,), ascending.

    Args:
        fidelities: Shape (n,), in the order in which the costs were measured.
        most: How many at most.
    """
    order = np.lexsort([np.arange(len(fidelities)), fidelities])
    return np.sort(order[-most:])
